using System.Globalization;
using Tern.Files;
using Tern.Models.Checkpoints;
using Tern.Numerics;

namespace Tern.Conversion;

/// <summary>What was written.</summary>
/// <param name="Bytes">Length of the file.</param>
/// <param name="SourceBytes">Bytes of tensors that were read.</param>
/// <param name="Notes">One line each.</param>
internal sealed record ConversionReport(long Bytes, long SourceBytes, IReadOnlyList<string> Notes);

/// <summary>Writes a model as one GGUF file with its tensors in other types: what <c>tern quantize</c> and <c>tern convert</c> do.</summary>
internal static class GgufConversion
{
    /// <summary>Upstream's number for the layout of its block types since 2023; every reader expects it where there are any.</summary>
    private const uint QuantizationVersion = 2;

    /// <summary>
    /// <c>general.file_type</c> by the type of most weights, in the numbers of the program that each type comes from. They collide (40 is I2_S
    /// in bitnet.cpp and Q1_0 in llama.cpp), so this is information for people only.
    /// </summary>
    private static readonly (TensorType Type, uint FileType)[] s_fileTypes =
    [
        (TensorType.F32, 0), (TensorType.F16, 1), (TensorType.Q4_0, 2), (TensorType.Q4_1, 3), (TensorType.Q8_0, 7), (TensorType.Q5_0, 8),
        (TensorType.Q4_K, 14), (TensorType.Q6_K, 18), (TensorType.BF16, 32), (TensorType.TQ1_0, 36), (TensorType.TQ2_0, 37), (TensorType.I2S, 40),
        (TensorType.Q1_0, 40), (TensorType.Q2_0, 41), (TensorType.IQ1_BN, 136), (TensorType.IQ2_BN, 137),
    ];

    /// <summary>About the bytes of the file: the tensors, and an estimate of everything before them.</summary>
    public static long PredictBytes(ConversionPlan plan, Metadata metadata)
    {
        const int bytesPerTensorInfo = 128;
        long entries = metadata.Entries.Sum(e => e.Key.Length + 16 + e.Value switch
        {
            StringTable table => Enumerable.Range(0, table.Count).Sum(i => table[i].Length + (long)sizeof(ulong)),
            Array array => (long)array.Length * sizeof(ulong),
            string text => text.Length,
            _ => sizeof(ulong),
        });
        return plan.ByteCount + entries + ((long)bytesPerTensorInfo * plan.Tensors.Count);
    }

    /// <summary>The metadata of the file that a plan makes: those of the model, with what describes its types.</summary>
    public static Metadata MetadataOf(ModelSource source, ConversionPlan plan)
    {
        var metadata = new Metadata(source.Metadata.Path);
        foreach (MetadataEntry entry in source.Metadata.Entries)
            metadata.TryAdd(entry);
        if (source is Checkpoint && metadata.Find("general.license") is null && ModelCard.Licence(source.Metadata.Path) is { } licence)
            metadata.Set("general.license", licence);
        if (plan.IsCopy && metadata.Find("general.file_type") is not null)
            return metadata;
        metadata.Set("general.file_type", s_fileTypes.FirstOrDefault(f => f.Type == plan.MainType).FileType);
        metadata.Set("general.quantization_version", QuantizationVersion);
        return metadata;
    }

    /// <summary>Writes the file.</summary>
    /// <param name="source">The model.</param>
    /// <param name="plan">What becomes of its tensors.</param>
    /// <param name="metadata">As <see cref="MetadataOf"/> gives it.</param>
    /// <param name="path">Replaced as a whole or not at all.</param>
    /// <param name="progress">Receives the share of the source that is done, in [0, 1].</param>
    /// <param name="cancellation">Stops within a batch of rows; nothing is left behind.</param>
    /// <exception cref="TernException">A tensor is damaged, or the file cannot be written.</exception>
    public static ConversionReport Write(ModelSource source, ConversionPlan plan, Metadata metadata, string path, Action<double> progress, CancellationToken cancellation)
    {
        long total = plan.Tensors.Sum(t => t.Source.ByteCount), done = 0;
        var recoder = new TensorRecoder(new RowLoop(source, plan.Options.Threads, cancellation), plan.Options, bytes =>
        {
            done += bytes;
            progress(Math.Min(1, (double)done / total));
        });
        var tensors = new List<TensorSource>(plan.Tensors.Count);
        for (int i = 0; i < plan.Tensors.Count; i++)
        {
            TensorPlan tensor = plan.Tensors[i];
            Tensor? next = i + 1 < plan.Tensors.Count ? plan.Tensors[i + 1].Source : null;
            tensors.Add(new TensorSource(tensor.Source.Name, tensor.Type, tensor.Source.Shape, stream =>
            {
                cancellation.ThrowIfCancellationRequested();
                if (next is not null)
                    source.Fetch(next);
                recoder.Write(tensor, stream);
            }));
        }

        GgufWriter.Write(path, metadata, tensors);
        var notes = new List<string>(plan.Notes);
        if (recoder.LargestScaleError > 0)
            notes.Add(string.Create(CultureInfo.InvariantCulture, $"{(plan.Ternarises ? "" : "codes are carried over exactly; ")}scales are rounded to fp16 (largest relative change {recoder.LargestScaleError:0.0e+0})"));
        return new ConversionReport(new FileInfo(path).Length, total, notes);
    }
}
