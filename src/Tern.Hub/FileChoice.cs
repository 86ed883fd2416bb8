using System.Globalization;
using System.Text.RegularExpressions;

namespace Tern.Hub;

/// <summary>Which files of a repository make the model, and why these.</summary>
/// <param name="Files">To download; their names are not checked yet.</param>
/// <param name="Main">The file to open, the first part of a split one; null for a directory.</param>
/// <param name="Type">Tensor type by the file's name, or what else it is.</param>
/// <param name="Reason">For the user, without a full stop.</param>
internal sealed partial record FileChoice(IReadOnlyList<RepositoryFile> Files, string? Main, string Type, string Reason)
{
    private const string Unnamed = "GGUF";
    private const string Checkpoint = "safetensors";

    /// <summary>Types that Tern runs, the best first: ternary and 1-bit files as they were trained, then what is left of larger types.</summary>
    private static readonly string[] s_runs =
        ["I2_S", "Q2_0", "Q1_0", "TQ2_0", "TQ1_0", "IQ2_BN", "IQ1_BN", "Q4_0", "Q8_0", "Q6_K", "Q4_K", "Q5_0", "Q4_1", "F16", "BF16", "F32"];

    /// <summary>Types that Tern refuses, with the reason.</summary>
    private static readonly (string Type, string Why)[] s_refused =
    [
        ("TL1", "a TL1 file can be read only by the program that was built for it"),
        ("TL2", "a TL2 file can be read only by the program that was built for it"),
        ("PQ2_0", "PQ2_0 is a type of one fork of llama.cpp"),
        ("PTQ1_0", "PTQ1_0 is a type of one fork of llama.cpp"),
        ("mmproj", "it is the eye of a vision model, not the model"),
    ];

    private sealed record Candidate(string Name, IReadOnlyList<RepositoryFile> Files, string? Type, string? Refusal);

    /// <summary>Chooses.</summary>
    /// <param name="repository">What there is.</param>
    /// <param name="wanted">A file, or a type such as Q2_0; null for the best.</param>
    /// <param name="asDirectory">The checkpoint in safetensors, even where there is a GGUF file.</param>
    /// <param name="allFiles">Everything.</param>
    /// <exception cref="TernException">Nothing that was asked for, or nothing that Tern runs; the message lists what there is.</exception>
    public static FileChoice From(Repository repository, string? wanted, bool asDirectory, bool allFiles)
    {
        List<Candidate> candidates = Candidates(repository);
        if (allFiles)
            return All(repository, candidates);
        if (wanted is not null)
            return Wanted(repository, candidates, wanted);

        List<Candidate> runs = [.. candidates.Where(c => c.Refusal is null).OrderBy(Rank).ThenBy(c => c.Name.Length).ThenBy(c => c.Name, StringComparer.Ordinal)];
        if (runs.Count > 0 && !asDirectory)
            return Of(runs[0], runs.Count == 1 && candidates.Count == 1 ? "the only GGUF file" : $"of {Count(candidates.Count, "GGUF file")} the one whose type comes first of those that Tern runs");

        List<RepositoryFile> checkpoint = [.. repository.Files.Where(f => CheckpointFile().IsMatch(f.Path))];
        if (checkpoint.Any(f => ModelWeights().IsMatch(f.Path)))
            checkpoint.RemoveAll(f => IsWeights(f) && !ModelWeights().IsMatch(f.Path)); // the same weights again, or those of an adapter
        if (checkpoint.Any(IsWeights) && checkpoint.Any(f => f.Path == "config.json"))
            return new FileChoice(checkpoint, null, Checkpoint, asDirectory ? "the checkpoint" : "there is no GGUF file that Tern runs, so the checkpoint in safetensors with all that it needs");

        string refused = string.Join("; ", candidates.Where(c => c.Refusal is not null).Take(5).Select(c => $"{c.Name}: {c.Refusal}"));
        throw new TernException(
            ErrorKind.Unsupported,
            $"{repository.Name}: no file that Tern runs: {(refused.Length > 0 ? refused : "no .gguf, and no config.json with .safetensors")}; it holds {Listed(repository.Files.Select(f => f.Path))}; --all-files downloads it nevertheless");
    }

    /// <summary>The tensor type that a file's name speaks of, or null.</summary>
    public static string? TypeInName(string name) => TypeWord().Match(Path.GetFileName(name)) is { Success: true } match ? match.Groups["type"].Value.ToUpperInvariant() : null;

    /// <summary>Names for an error message, not too many.</summary>
    public static string Listed(IEnumerable<string> names)
    {
        const int shown = 20;
        List<string> all = [.. names];
        return all.Count == 0 ? "nothing" : string.Join(", ", all.Take(shown)) + (all.Count > shown ? string.Create(CultureInfo.InvariantCulture, $" and {all.Count - shown} more") : "");
    }

    private static FileChoice All(Repository repository, List<Candidate> candidates)
    {
        if (repository.Files.Count == 0)
            throw new TernException(ErrorKind.Unsupported, $"{repository.Name}: the repository is empty");
        Candidate? best = candidates.Where(c => c.Refusal is null).OrderBy(Rank).ThenBy(c => c.Name, StringComparer.Ordinal).FirstOrDefault();
        return new FileChoice(repository.Files, best?.Files[0].Path, best is null ? Checkpoint : best.Type ?? Unnamed, "all files of the repository");
    }

    private static FileChoice Wanted(Repository repository, List<Candidate> candidates, string wanted)
    {
        Candidate? named = candidates.FirstOrDefault(c => c.Files.Any(f => f.Path == wanted))
            ?? candidates.FirstOrDefault(c => Path.GetFileName(c.Files[0].Path) == wanted);
        named ??= candidates.Where(c => string.Equals(c.Type, wanted, StringComparison.OrdinalIgnoreCase) || TypeTail(c.Name, wanted)).OrderBy(c => c.Name.Length).FirstOrDefault();
        if (named is not null)
        {
            if (named.Refusal is not null && s_refused.Any(r => r.Type == named.Type))
                throw new TernException(ErrorKind.Unsupported, $"{repository.Name}: '{named.Name}' is refused: {named.Refusal}; pull another of {Listed(candidates.Where(c => c.Refusal is null).Select(c => c.Name))}");
            return Of(named, "as asked for");
        }

        if (repository.Files.FirstOrDefault(f => f.Path == wanted) is { } plain)
            return new FileChoice([plain], plain.Path, Path.GetExtension(plain.Path).TrimStart('.'), "as asked for");
        throw new TernException(ErrorKind.File, $"{repository.Name}: there is no file or type '{wanted}'; there is {Listed(candidates.Count > 0 ? candidates.Select(c => c.Name) : repository.Files.Select(f => f.Path))}");
    }

    private static FileChoice Of(Candidate candidate, string reason)
    {
        if (candidate.Files.Count > 1)
            reason += string.Create(CultureInfo.InvariantCulture, $", with all {candidate.Files.Count} parts");
        return new FileChoice(candidate.Files, candidate.Files[0].Path, candidate.Type ?? Unnamed, reason);
    }

    /// <summary>All GGUF files, the parts of a split one together.</summary>
    private static List<Candidate> Candidates(Repository repository) =>
    [
        .. repository.Files
            .Where(f => f.Path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            .GroupBy(f => SplitTail().Replace(f.Path, "-of-${count}.gguf"), StringComparer.Ordinal)
            .Select(group => ToCandidate([.. group.OrderBy(f => f.Path, StringComparer.Ordinal)])),
    ];

    private static Candidate ToCandidate(IReadOnlyList<RepositoryFile> files)
    {
        string name = files[0].Path;
        string? type = TypeInName(name);
        string? refusal = null;
        if (s_refused.FirstOrDefault(r => r.Type.Equals(type, StringComparison.OrdinalIgnoreCase)) is { Type: not null } refused)
            (type, refusal) = refused;
        else if (type is not null && !s_runs.Contains(type))
            refusal = $"Tern does not run {type}";
        else if (SplitTail().Match(name) is { Success: true } split && int.Parse(split.Groups["count"].Value, CultureInfo.InvariantCulture) != files.Count)
            refusal = string.Create(CultureInfo.InvariantCulture, $"{files.Count} of its {split.Groups["count"].Value} parts are there");
        return new Candidate(name, files, type, refusal);
    }

    private static int Rank(Candidate candidate) => candidate.Type is null ? s_runs.Length : Array.IndexOf(s_runs, candidate.Type);

    /// <summary>Q4_K_M and the like: a type's name with its mixture, as other programs write it behind the colon.</summary>
    private static bool TypeTail(string name, string wanted) =>
        Path.GetFileNameWithoutExtension(SplitTail().Replace(name, ".gguf")).EndsWith("-" + wanted, StringComparison.OrdinalIgnoreCase)
        || Path.GetFileNameWithoutExtension(SplitTail().Replace(name, ".gguf")).EndsWith("." + wanted, StringComparison.OrdinalIgnoreCase);

    private static bool IsWeights(RepositoryFile file) => file.Path.EndsWith(".safetensors", StringComparison.Ordinal);

    private static string Count(int count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}{(count == 1 ? "" : "s")}");

    [GeneratedRegex(@"-(?<number>[0-9]{5})-of-(?<count>[0-9]{5})\.gguf$", RegexOptions.IgnoreCase | RegexOptions.NonBacktracking)]
    private static partial Regex SplitTail();

    [GeneratedRegex(
        @"(?<![A-Za-z0-9])(?<type>mmproj|TL1|TL2|PT?Q[0-9]_[0-9]|I2_S|I[QT][0-9]_(BN|K|S|M|XS|XXS|NL)|TQ[0-9]_0|Q[0-9]_K|Q[0-9]_[0-9](_[48]_[48])?|BF16|F16|F32|MXFP4|NVFP4)(?![A-Za-z0-9])",
        RegexOptions.IgnoreCase)]
    private static partial Regex TypeWord();

    [GeneratedRegex(@"^(config\.json|generation_config\.json|tokenizer[^/]*\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.[^/]+|additional_chat_templates/[^/]+\.jinja|modules\.json|1_Pooling/config\.json|[^/]+\.safetensors|[^/]+\.safetensors\.index\.json|LICENSE[^/]*)$", RegexOptions.NonBacktracking)]
    private static partial Regex CheckpointFile();

    /// <summary>The names by which a checkpoint's weights are opened.</summary>
    [GeneratedRegex(@"^model(-[0-9]{5}-of-[0-9]{5})?\.safetensors$", RegexOptions.NonBacktracking)]
    private static partial Regex ModelWeights();
}
