using System.Text.RegularExpressions;

namespace Tern.Hub;

/// <summary>
/// The name of a model: <c>owner/name</c>, a revision behind <c>@</c>, a file or type behind <c>:</c>. Names without an owner are models that
/// the user named. The prefixes that people copy from web pages and other tools (<c>hf.co/</c>, <c>https://huggingface.co/</c>, with
/// <c>/tree/</c>, <c>/blob/</c> or <c>/resolve/</c>) are understood.
/// </summary>
/// <param name="Owner">Who publishes it; <see cref="Local"/> for names of the user's own.</param>
/// <param name="Name">Repository.</param>
/// <param name="Revision">Branch, tag or commit; null for the main branch.</param>
/// <param name="File">A file of the repository, or a tensor type; null lets Tern choose.</param>
internal sealed partial record ModelName(string Owner, string Name, string? Revision, string? File)
{
    /// <summary>The owner of names that have none.</summary>
    public const string Local = "local";

    private const string DefaultTag = "latest";

    private static readonly string[] s_hubs = ["https://huggingface.co/", "http://huggingface.co/", "https://hf.co/", "huggingface.co/", "hf.co/"];

    /// <summary>owner/name</summary>
    public string Repository => $"{Owner}/{Name}";

    /// <summary>What tells apart the models of one repository in the store.</summary>
    public string Tag => (Revision, File) switch
    {
        (null, null) => DefaultTag,
        (null, _) => File,
        (_, null) => "@" + Revision,
        _ => $"@{Revision}:{File}",
    };

    /// <summary>The name as it is written.</summary>
    public override string ToString() =>
        (Owner == Local ? Name : Repository) + (Revision is null ? "" : "@" + Revision) + (File is null ? "" : ":" + File);

    /// <summary>Reads a name with an owner.</summary>
    public static ModelName? TryRepository(string text, Uri? hub = null)
    {
        string rest = WithoutHub(text, hub);
        Match match = RepositoryPattern().Match(rest);
        if (!match.Success)
            match = PagePattern().Match(rest.Split('?', '#')[0]);
        return match.Success ? From(match) : null;
    }

    /// <summary>Reads any name that the store may hold.</summary>
    public static ModelName? TryStored(string text) => TryRepository(text) ?? (OwnPattern().Match(text) is { Success: true } own ? From(own) : null);

    /// <summary>Makes a name out of a file's: what names do not allow becomes a dash.</summary>
    public static ModelName FromFile(string path)
    {
        string stem = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
        if (stem.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            stem = stem[..^5];
        string name = Disallowed().Replace(stem, "-").Trim('-', '.', '_');
        return new ModelName(Local, name.Length == 0 ? "model" : name.Length > 96 ? name[..96] : name, null, null);
    }

    private static ModelName? From(Match match)
    {
        string owner = match.Groups["owner"] is { Success: true } o ? o.Value : Local;
        string name = match.Groups["name"].Value;
        if (SafePath.Problem($"{owner}/{name}") is not null)
            return null;
        string? file = match.Groups["file"] is { Success: true } f ? Uri.UnescapeDataString(f.Value) : null;
        return new ModelName(owner, name, match.Groups["revision"] is { Success: true } r ? Uri.UnescapeDataString(r.Value) : null, file);
    }

    private static string WithoutHub(string text, Uri? hub)
    {
        IEnumerable<string> prefixes = hub is null ? s_hubs : s_hubs.Prepend(hub.AbsoluteUri.TrimEnd('/') + "/");
        string? prefix = prefixes.FirstOrDefault(p => text.StartsWith(p, StringComparison.OrdinalIgnoreCase));
        return prefix is null ? text : text[prefix.Length..].TrimEnd('/');
    }

    private const string Segment = "[A-Za-z0-9_][A-Za-z0-9._-]{0,95}";

    [GeneratedRegex($@"^(?<owner>{Segment})/(?<name>{Segment})(@(?<revision>[^@:\s]+))?(:(?<file>[^:\r\n]+))?$", RegexOptions.NonBacktracking)]
    private static partial Regex RepositoryPattern();

    [GeneratedRegex($@"^(?<owner>{Segment})/(?<name>{Segment})/(tree|blob|resolve)/(?<revision>[^/\s]+)(/(?<file>[^\r\n]+))?$", RegexOptions.NonBacktracking)]
    private static partial Regex PagePattern();

    [GeneratedRegex($@"^(?<name>{Segment})(@(?<revision>[^@:\s]+))?(:(?<file>[^:\r\n]+))?$", RegexOptions.NonBacktracking)]
    private static partial Regex OwnPattern();

    [GeneratedRegex("[^A-Za-z0-9._-]+", RegexOptions.NonBacktracking)]
    private static partial Regex Disallowed();
}
