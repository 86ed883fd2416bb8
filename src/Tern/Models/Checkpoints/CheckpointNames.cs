using System.Globalization;
using Tern.Files;

namespace Tern.Models.Checkpoints;

/// <summary>A weight of the model, found in a file.</summary>
/// <param name="Name">Which one.</param>
/// <param name="Layer">Its layer, if it is one of layers.</param>
/// <param name="Module">The name in the file without <c>.weight</c>.</param>
/// <param name="File">Where.</param>
/// <param name="Entry">What the file says of it.</param>
internal sealed record FoundWeight(TensorName Name, int Layer, string Module, SafetensorsFile File, SafetensorsEntry Entry);

/// <summary>
/// Tells the tensors of a checkpoint by name. Models saved as part of a larger one have a longer prefix, and those saved without their output
/// matrix none:
/// <code>
/// model.layers.3.self_attn.q_proj.weight      language_model.model.layers.3.…      layers.3.…
/// |prefix|layer  |module                 |
/// </code>
/// </summary>
internal sealed class CheckpointNames
{
    private const string Weight = ".weight";
    private const string Scale = ".weight_scale";
    private const string Bias = ".bias";
    private const int NamesShown = 12;

    private static readonly string[] s_prefixes = ["model.language_model.", "language_model.model.", "language_model.", "model."];

    private readonly Dictionary<string, TensorName> _inLayers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorName> _outside = new(StringComparer.Ordinal);
    private readonly Dictionary<(TensorName Name, int Layer), FoundWeight> _weights = [];
    private readonly Dictionary<string, (SafetensorsFile File, SafetensorsEntry Entry)> _scales = new(StringComparer.Ordinal); // by module
    private readonly List<string> _unknown = [];
    private readonly int _layers;
    private readonly IReadOnlyList<TensorName> _family;

    /// <param name="family">The tensors to find.</param>
    /// <param name="layers">How many layers there are.</param>
    /// <param name="files">Where.</param>
    /// <exception cref="TernException">A tensor is there twice, or is the bias of a linear layer.</exception>
    public CheckpointNames(IReadOnlyList<TensorName> family, int layers, IEnumerable<SafetensorsFile> files)
    {
        (_family, _layers) = (family, layers);
        foreach (TensorName name in family.Concat(TensorName.InputNorms))
        {
            Dictionary<string, TensorName> table = name.IsInLayers ? _inLayers : _outside;
            table.Add(name.HuggingFace, name);
            if (name.Alias is not null)
                table.Add(name.Alias, name);
        }

        foreach (SafetensorsFile file in files)
            foreach (SafetensorsEntry entry in file.Entries)
                Add(file, entry);
    }

    /// <summary>Whether every linear layer has a norm in front of it.</summary>
    public bool HasInputNorms { get; private set; }

    /// <summary>Whether names lack the prefix that models with an output matrix have.</summary>
    public bool IsBody { get; private set; }

    /// <summary>The weights in the order of the files.</summary>
    public IEnumerable<FoundWeight> Weights => _weights.Values;

    /// <summary>Whether a weight outside the layers is there.</summary>
    public bool Has(string gguf) => _weights.Keys.Any(k => k.Layer < 0 && k.Name.Gguf == gguf);

    /// <summary>The <c>weight_scale</c> of a module.</summary>
    public (SafetensorsFile File, SafetensorsEntry Entry)? ScaleOf(string module) => _scales.TryGetValue(module, out (SafetensorsFile, SafetensorsEntry) found) ? found : null;

    /// <summary>One error that says everything that is missing and everything that is there instead; else a warning of the latter.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="needsOutput">Whether there must be an output matrix.</param>
    /// <param name="warn">Receives the warning.</param>
    public void Finish(string folder, bool needsOutput, Action<string> warn)
    {
        List<string> missing =
        [
            .. _family.Concat(HasInputNorms ? TensorName.InputNorms : []).Where(name => name.Gguf != "output" || needsOutput)
                .SelectMany(name => Enumerable.Range(name.IsInLayers ? 0 : -1, name.IsInLayers ? _layers : 1).Where(layer => !_weights.ContainsKey((name, layer))).Select(name.InCheckpoint)),
        ];
        string unused = string.Create(CultureInfo.InvariantCulture, $"{_unknown.Count} not expected: {List(_unknown)}");
        if (missing.Count > 0)
        {
            string instead = _unknown.Count > 0 ? ", " + unused : "";
            throw FileError.Whole(ErrorKind.Semantic, folder, "tensors", string.Create(CultureInfo.InvariantCulture, $"{missing.Count} missing: {List(missing)}{instead}"), "take the checkpoint from another source, or download all of its files");
        }

        if (_unknown.Count > 0)
            warn($"{folder}: {_unknown.Count} tensors are not used: {List(_unknown)}");
    }

    private static string List(List<string> names) =>
        string.Join(", ", names.Take(NamesShown).Select(FileError.Quote)) + (names.Count > NamesShown ? $" and {names.Count - NamesShown} more" : "");

    private void Add(SafetensorsFile file, SafetensorsEntry entry)
    {
        string suffix = entry.Name.EndsWith(Weight, StringComparison.Ordinal) ? Weight
            : entry.Name.EndsWith(Scale, StringComparison.Ordinal) ? Scale
            : entry.Name.EndsWith(Bias, StringComparison.Ordinal) ? Bias : "";
        string module = entry.Name[..^suffix.Length];
        if (suffix.Length == 0 || Find(module) is not var (name, layer))
        {
            // Tables that older versions of transformers saved; they follow from the configuration.
            if (!entry.Name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal))
                _unknown.Add(entry.Name);
            return;
        }

        if (suffix == Bias)
            throw FileError.At(ErrorKind.Unsupported, file.Path, entry.HeaderOffset, $"tensor {FileError.Quote(entry.Name)}", "biases are not supported", "no 1-bit model has them: use another model");
        bool isNew = suffix == Scale ? _scales.TryAdd(module, (file, entry)) : _weights.TryAdd((name, layer), new FoundWeight(name, layer, module, file, entry));
        if (!isNew)
            throw FileError.At(ErrorKind.Format, file.Path, entry.HeaderOffset, $"tensor {FileError.Quote(entry.Name)}", "is there twice, under this name or another one", "the files do not belong together: download all of them again");
        HasInputNorms |= name.Role == TensorRole.InputNorm;
        IsBody |= name.Gguf == "token_embd" && module == name.HuggingFace;
    }

    private (TensorName Name, int Layer)? Find(string module)
    {
        ReadOnlySpan<char> rest = module;
        foreach (string prefix in s_prefixes)
        {
            if (!rest.StartsWith(prefix, StringComparison.Ordinal))
                continue;
            rest = rest[prefix.Length..];
            break;
        }

        const string layers = "layers.";
        if (!rest.StartsWith(layers, StringComparison.Ordinal))
            return _outside.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(rest, out TensorName? outside) ? (outside, -1) : null;
        rest = rest[layers.Length..];
        int dot = rest.IndexOf('.');
        if (dot is < 1 or > 4 || rest[..dot].ContainsAnyExceptInRange('0', '9') || (dot > 1 && rest[0] == '0'))
            return null;
        int layer = int.Parse(rest[..dot], CultureInfo.InvariantCulture);
        return layer < _layers && _inLayers.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(rest[(dot + 1)..], out TensorName? found) ? (found, layer) : null;
    }
}
