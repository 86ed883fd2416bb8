using Tern.Cli.Benchmarks;
using Tern.Files;
using Tern.Kernels;
using Tern.Models;
using Tern.Numerics;
using Tern.Text;

namespace Tern.Cli.Inspection;

/// <summary>Tensors of one type, and the kernel row that runs them if the model can be loaded.</summary>
/// <param name="Type">The tensor type.</param>
/// <param name="Tensors">How many.</param>
/// <param name="Parameters">Their weights.</param>
/// <param name="Bytes">Their bytes in the file.</param>
/// <param name="Kernels">Rows that were chosen for those that are multiplied.</param>
/// <param name="WorkingBytes">Bytes in the working layout of those that are multiplied.</param>
internal sealed record TypeReport(string Type, int Tensors, long Parameters, long Bytes, IReadOnlyList<string> Kernels, long WorkingBytes);

/// <summary>A token by id and text.</summary>
internal sealed record TokenReport(int Id, string Text);

/// <summary>
/// What a file holds and what Tern would do with it. Everything behind the file itself may be missing when the file parses but cannot run;
/// <see cref="Reason"/> then says why.
/// </summary>
internal sealed record FileReport(
    ModelSource File,
    ModelSpec? Spec,
    bool IsRunnable,
    string? Reason,
    IReadOnlyList<TypeReport> Types,
    IReadOnlyList<TokenReport> StopTokens,
    int VocabularySize,
    long KvBytesPerThousandTokens,
    string? ChatTemplate,
    string? Tuning,
    IReadOnlyList<string> Warnings)
{
    private const int ThousandTokens = 1024;

    public long Parameters => Types.Sum(t => t.Parameters);

    public long TensorBytes => Types.Sum(t => t.Bytes);

    public static FileReport Of(ModelSource file, ModelOptions options)
    {
        var warnings = new List<string>(file.Warnings);
        string? reason = null;
        ModelSpec? spec = Try(() => Model.ReadSpec(file, warnings.Add), ref reason);
        Tokenizer? tokenizer = Try(() => Tokenizer.From(file.Metadata, warnings.Add, options.PreTokenizer), ref reason);
        Model? model = reason is null ? Try(() => Model.Load(file.Metadata.Path, options), ref reason) : null;
        try
        {
            if (model is not null)
                warnings = [.. model.Warnings];
            string? template = tokenizer is null ? null : Tern.Text.Templates.ChatTemplate.From(file.Metadata, tokenizer, warnings.Add)?.Source;
            return new FileReport(
                file,
                spec,
                model is not null,
                reason,
                TypesOf(file, model),
                tokenizer is null ? [] : [.. tokenizer.StopIds.Order().Select(id => new TokenReport(id, tokenizer.Decode([id], special: true)))],
                tokenizer?.Count ?? 0,
                spec is null ? 0 : KvCache.PageBytes(spec, KvType.F16) * (ThousandTokens / KvPages.PageTokens),
                template,
                model is null ? null : MachineReport.Tuning(model),
                warnings);
        }
        finally
        {
            model?.Dispose();
        }
    }

    /// <summary>The first reason why the model cannot run is the one to show.</summary>
    private static T? Try<T>(Func<T> read, ref string? reason)
        where T : class
    {
        try
        {
            return read();
        }
        catch (TernException e)
        {
            reason ??= e.Message;
            return null;
        }
    }

    private static List<TypeReport> TypesOf(ModelSource file, Model? model)
    {
        ILookup<TensorType, WeightMatrix>? used = model?.Weights.Linears.ToLookup(l => l.Tensor.Type, l => l.Matrix);
        var types = new List<TypeReport>();
        foreach (IGrouping<string, Tensor> group in file.Tensors.Values.GroupBy(t => t.Type.Name).OrderByDescending(g => g.Sum(t => t.ByteCount)))
        {
            WeightMatrix[] matrices = used is null ? [] : [.. used.Where(u => u.Key.Name == group.Key).SelectMany(u => u)];
            types.Add(new TypeReport(
                group.Key,
                group.Count(),
                group.Sum(t => t.Columns * t.Rows),
                group.Sum(t => t.ByteCount),
                [.. matrices.Select(m => m.Kernel.Name).Distinct().Order(StringComparer.Ordinal)],
                matrices.Sum(m => m.ByteCount)));
        }

        return types;
    }
}
