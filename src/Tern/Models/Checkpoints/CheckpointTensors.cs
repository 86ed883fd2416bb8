using System.Globalization;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Models.Checkpoints;

/// <summary>
/// Makes the tensors that a GGUF file of the model would hold: in its order of rows and with its norms, their bytes left where they are. What
/// the bytes mean then depends on the tensor, and so does its type.
/// </summary>
internal sealed class CheckpointTensors(CheckpointNames names, CheckpointFamily family, TernaryConfig ternary, int headSize, string configPath)
{
    /// <summary>Between these lie the scales of trained models, by two orders of magnitude on each side.</summary>
    private const float ScaleMin = 1e-4f, ScaleMax = 8;

    private readonly List<float> _scales = [];
    private int _unexpectedMasters;

    /// <summary>The tensors in the order of the files.</summary>
    /// <param name="withOutput">Whether the output matrix is one of its own.</param>
    /// <param name="warn">Receives a line about what looks wrong.</param>
    /// <exception cref="TernException">A tensor is of a type or shape that cannot be.</exception>
    public List<Tensor> Make(bool withOutput, Action<string> warn)
    {
        var tensors = new List<Tensor>();
        foreach (FoundWeight weight in names.Weights)
            if (withOutput || weight.Name.Gguf != "output")
                tensors.Add(Make(weight));

        if (_unexpectedMasters > 0)
            warn(string.Create(CultureInfo.InvariantCulture, $"{configPath}: {_unexpectedMasters} linear layers hold floats, though 'quantization_mode' is offline; they are rounded to ternary weights as in training"));
        WarnOfScales(warn);
        return tensors;
    }

    private Tensor Make(FoundWeight weight)
    {
        SafetensorsEntry entry = weight.Entry;
        if (entry.Shape.Length is < 1 or > 2 || entry.Shape.Contains(0))
            throw Error(weight, ErrorKind.Semantic, $"has shape {TensorExtent.Describe(entry.Shape)}", "take the checkpoint from another source");

        long[] shape = [.. entry.Shape.Reverse()];
        TensorType type = weight.Name.Role switch
        {
            TensorRole.Linear or TensorRole.Query or TensorRole.Key => LinearType(weight, shape),
            TensorRole.Norm when family.NormAddend != 0 => new ShiftedFloatType(Floats(weight), family.NormAddend),
            _ => Floats(weight),
        };
        return weight.File.Tensor(entry, weight.Name.InGguf(weight.Layer), type, shape);
    }

    /// <summary>The type of a linear layer's matrix; a packed one has four times the rows that the file says.</summary>
    private TensorType LinearType(FoundWeight weight, long[] shape)
    {
        if (shape.Length != 2)
            throw Error(weight, ErrorKind.Semantic, $"has shape {TensorExtent.Describe(weight.Entry.Shape)}, must be a matrix", "take the checkpoint from another source");
        if (weight.Entry.Type == SafetensorsType.U8)
        {
            if (!ternary.IsTernary)
                throw Error(weight, ErrorKind.Unsupported, $"is U8, but {configPath} has no 'quantization_config' that says what the bytes mean", "take the checkpoint from another source");
            shape[1] *= 4;
            return new PackedTernaryType(PackedScale(weight), OrderOf(weight, shape[1]));
        }

        TensorType floats = Floats(weight);
        RowOrder order = OrderOf(weight, shape[1]);
        if (!ternary.Keeps(weight.Module))
        {
            _unexpectedMasters += ternary.IsOnline ? 0 : 1;
            return new MasterTernaryType(floats, order);
        }

        return order.IsAsStored ? floats : new PermutedFloatType(floats, order);
    }

    private RowOrder OrderOf(FoundWeight weight, long rows)
    {
        if (!family.InterleavesHeads || weight.Name.Role is not (TensorRole.Query or TensorRole.Key))
            return RowOrder.AsStored;
        return rows % headSize == 0
            ? new RowOrder(headSize)
            : throw Error(weight, ErrorKind.Semantic, string.Create(CultureInfo.InvariantCulture, $"has {rows} rows, no multiple of the head size {headSize}"), "take the checkpoint from another source");
    }

    private float PackedScale(FoundWeight weight)
    {
        if (names.ScaleOf(weight.Module) is not var (file, entry))
            throw Error(weight, ErrorKind.Semantic, $"has no scale: tensor {FileError.Quote(weight.Module + ".weight_scale")} is missing", "take the checkpoint from another source");

        string subject = $"tensor {FileError.Quote(entry.Name)}";
        if (entry.Type.Floats is not { } floats || entry.ByteCount != floats.BlockBytes)
            throw FileError.At(ErrorKind.Unsupported, file.Path, entry.HeaderOffset, subject, $"is {entry.Type.Name} {TensorExtent.Describe(entry.Shape)}; a scale is one F32, F16 or BF16", "take the checkpoint from another source");
        Span<float> value = stackalloc float[1];
        file.Tensor(entry, entry.Name, floats, [1]).DecodeRow(0, value);
        float scale = ternary.Divides ? 1 / value[0] : value[0];
        if (!float.IsFinite(scale) || scale == 0)
            throw FileError.At(ErrorKind.Semantic, file.Path, entry.Offset, subject, string.Create(CultureInfo.InvariantCulture, $"is {value[0]}, which makes a scale of {scale}"), "the file is damaged: download it again");
        _scales.Add(scale);
        return scale;
    }

    private void WarnOfScales(Action<string> warn)
    {
        int odd = _scales.Count(s => MathF.Abs(s) is < ScaleMin or > ScaleMax);
        if (odd > 0)
        {
            warn(string.Create(
                CultureInfo.InvariantCulture,
                $"{configPath}: {odd} of {_scales.Count} weight scales look inverted ({_scales.Min():g3} to {_scales.Max():g3}, expected {ScaleMin:g} to {ScaleMax}): if the model writes nonsense, try --weight-scale {(ternary.Divides ? "multiply" : "divide")}"));
        }
    }

    private static TensorType Floats(FoundWeight weight) =>
        weight.Entry.Type.Floats ?? throw Error(weight, ErrorKind.Unsupported, $"is {weight.Entry.Type.Name}, must be F32, F16 or BF16{(weight.Name.Role >= TensorRole.Linear ? ", or packed U8" : "")}", "use another checkpoint of the model");

    private static TernException Error(FoundWeight weight, ErrorKind kind, string what, string remedy) =>
        FileError.At(kind, weight.File.Path, weight.Entry.HeaderOffset, $"tensor {FileError.Quote(weight.Entry.Name)}", what, remedy);
}
