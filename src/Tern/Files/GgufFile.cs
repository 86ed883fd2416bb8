using System.Globalization;
using Tern.Numerics;

namespace Tern.Files;

/// <summary>A GGUF file, or all parts of a split one, opened and checked: metadata and mapped tensors.</summary>
/// <remarks>
/// The metadata of a split model is that of its first part without the <c>split.*</c> keys, so that it can be written as one file.
/// </remarks>
internal sealed class GgufFile : ModelSource
{
    private const string SplitNumber = "split.no";
    private const string SplitCount = "split.count";
    private const string SplitTensors = "split.tensors.count";

    private readonly List<GgufPart> _parts;

    private GgufFile(Metadata metadata, Dictionary<string, Tensor> tensors, List<GgufPart> parts)
    {
        _parts = parts;
        Metadata = metadata;
        Tensors = tensors;
        TensorsInOrder = [.. parts.SelectMany(p => p.Tensors)];
        Warnings = [.. parts.SelectMany(p => p.Warnings)];
    }

    public override Metadata Metadata { get; }

    public override IReadOnlyDictionary<string, Tensor> Tensors { get; }

    public override IReadOnlyList<Tensor> TensorsInOrder { get; }

    public override IReadOnlyList<string> Warnings { get; }

    /// <summary>Files that it lies in.</summary>
    public int PartCount => _parts.Count;

    /// <summary>Opens a file; for <c>…-00001-of-0000N.gguf</c> all its parts.</summary>
    /// <param name="path">The file, or the first part.</param>
    /// <param name="layout">How its I2_S tensors are arranged.</param>
    /// <param name="limits">What it may ask for; null for the defaults.</param>
    /// <exception cref="TernException">The file is missing, malformed or unsupported; the message names offset and field.</exception>
    public static GgufFile Open(string path, I2sLayout layout = I2sLayout.Canonical, GgufLimits? limits = null)
    {
        limits ??= GgufLimits.Default;
        var parts = new List<GgufPart> { GgufPart.Open(path, layout, limits) };
        try
        {
            Metadata metadata = parts[0].Metadata;
            int count = (int)(metadata.Integer(SplitCount, 0, ushort.MaxValue) ?? 1);
            if (count > limits.SplitParts)
                throw FileError.At(ErrorKind.Limit, path, metadata.Find(SplitCount)!.Offset, $"key '{SplitCount}'", string.Create(CultureInfo.InvariantCulture, $"{count} is above the limit {nameof(GgufLimits)}.{nameof(GgufLimits.SplitParts)} of {limits.SplitParts}"), "raise the limit if the file is to be trusted");
            IReadOnlyList<string> names = SplitNames(path, count, metadata);
            if (metadata.String("general.architecture") is null)
                throw metadata.Missing("general.architecture", "a model file says with it which network it holds: convert the original checkpoint again");
            foreach (string name in names.Skip(1))
                parts.Add(GgufPart.Open(name, layout, limits));
            return Join(parts, count);
        }
        catch
        {
            foreach (GgufPart part in parts)
                part.Dispose();
            throw;
        }
    }

    public override void Drop(Tensor tensor) => MapOf(tensor).Drop(tensor);

    public override void Fetch(Tensor tensor) => MapOf(tensor).Fetch(tensor);

    public override void Dispose()
    {
        foreach (GgufPart part in _parts)
            part.Dispose();
    }

    private MappedFile MapOf(Tensor tensor) => _parts.First(p => p.Map.Owns(tensor)).Map;

    private static GgufFile Join(List<GgufPart> parts, int count)
    {
        Metadata metadata = parts[0].Metadata;
        if (count > 1)
            CheckParts(parts);

        var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        foreach (Tensor tensor in parts.SelectMany(p => p.Tensors))
        {
            if (!tensors.TryAdd(tensor.Name, tensor))
                throw FileError.At(ErrorKind.Format, tensor.Path, tensor.FileOffset, $"tensor {FileError.Quote(tensor.Name)}", $"is there already in {tensors[tensor.Name].Path}", "the parts do not belong together: download all of them again");
        }

        if (count > 1)
        {
            var whole = new Metadata(metadata.Path);
            foreach (MetadataEntry entry in metadata.Entries.Where(e => !e.Key.StartsWith("split.", StringComparison.Ordinal)))
                whole.TryAdd(entry);
            metadata = whole;
        }

        return new GgufFile(metadata, tensors, parts);
    }

    /// <summary>Each part knows its number, from 0, and the number of parts; the first knows the number of tensors in all of them.</summary>
    private static void CheckParts(List<GgufPart> parts)
    {
        const string remedy = "the parts do not belong together: download all of them again";
        for (int i = 0; i < parts.Count; i++)
        {
            Require(parts[i].Metadata, SplitNumber, i);
            Require(parts[i].Metadata, SplitCount, parts.Count);
        }

        Require(parts[0].Metadata, SplitTensors, parts.Sum(p => p.Tensors.Count));

        static void Require(Metadata metadata, string key, long expected)
        {
            long found = metadata.Integer(key) ?? throw metadata.Missing(key, remedy);
            if (found != expected)
                throw FileError.At(ErrorKind.Semantic, metadata.Path, metadata.Find(key)!.Offset, $"key '{key}'", string.Create(CultureInfo.InvariantCulture, $"is {found}, but the parts found make it {expected}"), remedy);
        }
    }

    /// <summary>
    /// The files of a split model, made from the name of its first part: <c>name-00001-of-00003.gguf</c>.
    /// </summary>
    private static List<string> SplitNames(string path, int count, Metadata metadata)
    {
        const int tail = 20; // -00001-of-00003.gguf
        string end = path.Length > tail ? path[^tail..] : "";
        bool named = end.Length == tail && end[0] == '-' && end[6..10] == "-of-" && end.EndsWith(".gguf", StringComparison.Ordinal)
            && end[1..6].All(char.IsAsciiDigit) && end[10..15].All(char.IsAsciiDigit);
        int numberInName = named ? int.Parse(end[1..6], CultureInfo.InvariantCulture) : 1;
        int countInName = named ? int.Parse(end[10..15], CultureInfo.InvariantCulture) : 1;
        if (count <= 1)
        {
            return countInName <= 1
                ? [path]
                : throw metadata.Missing(SplitCount, string.Create(CultureInfo.InvariantCulture, $"the name says that this is one of {countInName} parts: rename the file if it is whole, or join parts that were cut byte by byte"));
        }

        MetadataEntry entry = metadata.Find(SplitCount)!;
        if (countInName != count)
            throw FileError.At(ErrorKind.Semantic, path, entry.Offset, $"key '{SplitCount}'", string.Create(CultureInfo.InvariantCulture, $"is {count}, but the name does not end in -00001-of-{count:D5}.gguf"), "give all parts the names they were published with");

        string stem = path[..^tail];
        string first = string.Create(CultureInfo.InvariantCulture, $"{stem}-00001-of-{count:D5}.gguf");
        return numberInName == 1
            ? [.. Enumerable.Range(1, count).Select(i => string.Create(CultureInfo.InvariantCulture, $"{stem}-{i:D5}-of-{count:D5}.gguf"))]
            : throw FileError.At(ErrorKind.Semantic, path, entry.Offset, $"key '{SplitCount}'", string.Create(CultureInfo.InvariantCulture, $"this is part {numberInName} of {count}"), $"open the first part, {first}, which finds the others");
    }
}
