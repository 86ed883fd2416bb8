using System.Buffers;
using Tern.Files;
using Tern.Models;
using Tern.Models.Checkpoints;
using Tern.Numerics;

namespace Tern.Conversion.HuggingFace;

/// <summary>
/// The tensors of a model as a checkpoint holds them: ternary layers packed four rows to a byte with their scale beside them, everything else as
/// floats, rows of q and k in the order of Hugging Face, norms without what GGUF adds.
/// </summary>
internal sealed class TensorExport
{
    private const int RowsPerByte = 4;

    private readonly ModelSource _source;
    private readonly ModelSpec _spec;
    private readonly CheckpointFamily _family;
    private readonly RowLoop _loop;
    private readonly PieceWriter _pieces;
    private readonly List<SafetensorsSource> _tensors = [];
    private readonly List<string> _dense = [];
    private readonly List<string> _rounded = [];

    public TensorExport(ModelSource source, ModelSpec spec, CheckpointFamily family, RowLoop loop, Action<long> advance)
    {
        (_source, _spec, _family, _loop) = (source, spec, family, loop);
        _pieces = new PieceWriter(loop, advance);
        IEnumerable<TensorName> names = family.Tensors.Concat(spec.HasInputNorms ? TensorName.InputNorms : []);
        foreach (TensorName name in names)
            for (int layer = 0; layer < (name.IsInLayers ? spec.Layers : 1); layer++)
                if (source.Tensors.TryGetValue(name.InGguf(layer), out Tensor? tensor))
                    Add(tensor, name, InCheckpoint(name, layer));
        if (source.Tensors.TryGetValue("rope_freqs.weight", out Tensor? divisors))
            throw divisors.Error(ErrorKind.Unsupported, 0, "the factors that it was computed from are not in the file, and config.json has no place for their result: keep the model as GGUF");
    }

    /// <summary>All tensors in the order of the file.</summary>
    public IReadOnlyList<SafetensorsSource> Tensors => _tensors;

    /// <summary>Whether any layer is packed.</summary>
    public bool IsTernary { get; private set; }

    /// <summary>Linear layers that are floats, by their names in the checkpoint.</summary>
    public IReadOnlyList<string> DenseLinears => _dense;

    /// <summary>Tensors whose type no checkpoint has, so that their values are rounded to fp16.</summary>
    public IReadOnlyList<string> Rounded => _rounded;

    private string InCheckpoint(TensorName name, int layer)
    {
        const string body = "model.";
        string whole = name.InCheckpoint(layer);
        return _spec.IsEmbedding ? whole[body.Length..] : whole;
    }

    private void Add(Tensor tensor, TensorName name, string inCheckpoint)
    {
        bool isLinear = name.Role is TensorRole.Linear or TensorRole.Query or TensorRole.Key;
        int headSize = _family.InterleavesHeads && name.Role is (TensorRole.Query or TensorRole.Key) ? _spec.HeadDim : 0;
        if (isLinear && Ternary(tensor) is { CommonScale: { } scale } ternary && tensor.Rows % RowsPerByte == 0)
        {
            AddPacked(tensor, ternary, scale == 0 ? 1 : scale, headSize, inCheckpoint);
            return;
        }

        if (isLinear && _family.IsAlwaysTernary)
            throw tensor.Error(ErrorKind.Unsupported, 0, $"whoever reads a checkpoint of this class makes its linear layers ternary, and this {tensor.Type.Name} one is not: {tensor.Rows} rows must be codes -1, 0, +1 with one scale, in multiples of {RowsPerByte}; keep the model as GGUF, or make it ternary with --type i2_s first");
        if (isLinear)
            _dense.Add(inCheckpoint[..^".weight".Length]);
        AddFloats(tensor, name.Role == TensorRole.Norm ? _family.NormAddend : 0, headSize, inCheckpoint);
    }

    /// <summary>Floats of a model that is ternary by its nature are looked at: written as floats they would be rounded with another scale.</summary>
    private TernarySource? Ternary(Tensor tensor) =>
        tensor.Type.IsTernary ? TernarySource.Of(tensor)
        : _family.IsAlwaysTernary || _spec.HasInputNorms ? TernarySource.TryExact(tensor, _loop) : null;

    private void AddPacked(Tensor tensor, TernarySource ternary, float scale, int headSize, string name)
    {
        IsTernary = true;
        int columns = (int)tensor.Columns;
        long quarter = tensor.Rows / RowsPerByte;
        _tensors.Add(new SafetensorsSource(name, SafetensorsType.U8, [quarter, columns], stream =>
            _pieces.Write(tensor, quarter, RowLoop.PieceRows(columns * RowsPerByte, 1), stream, rows => rows * columns, (first, rows, destination) =>
            {
                sbyte[] codes = ArrayPool<sbyte>.Shared.Rent(columns);
                destination.Clear();
                for (int row = 0; row < rows; row++)
                {
                    Span<byte> packed = destination.Slice(row * columns, columns);
                    for (int i = 0; i < RowsPerByte; i++)
                    {
                        ternary.Codes(HandedOut(first + row + (i * quarter), headSize), codes);
                        for (int c = 0; c < columns; c++)
                            packed[c] |= (byte)((codes[c] + 1) << (2 * i));
                    }
                }

                ArrayPool<sbyte>.Shared.Return(codes);
            })));

        // The scale in two bytes where that loses nothing, as published checkpoints have it.
        uint bits = BitConverter.SingleToUInt32Bits(scale);
        bool isBrain = (bits & 0xFFFF) == 0;
        _tensors.Add(new SafetensorsSource(name + "_scale", TypeOf(isBrain ? TensorType.BF16 : TensorType.F32), [1], stream =>
        {
            if (isBrain)
                stream.Write(BitConverter.GetBytes((ushort)(bits >> 16)));
            else
                stream.Write(BitConverter.GetBytes(scale));
        }));
    }

    private void AddFloats(Tensor tensor, float addend, int headSize, string name)
    {
        TensorType type = addend != 0 ? TensorType.F32
            : tensor.Type.Representative == TensorType.BF16 || tensor.Type.Representative == TensorType.F32 ? tensor.Type.Representative : TensorType.F16;
        if (type == TensorType.F16 && tensor.Type.Representative != TensorType.F16)
            _rounded.Add(tensor.Name);
        int columns = (int)tensor.Columns;
        long[] shape = [.. tensor.Shape.Reverse()];
        _tensors.Add(new SafetensorsSource(name, TypeOf(type), shape, stream =>
            _pieces.Write(tensor, tensor.Rows, RowLoop.PieceRows(columns, 1), stream, rows => rows * columns * type.BlockBytes, (first, rows, destination) =>
            {
                float[] floats = ArrayPool<float>.Shared.Rent(rows * columns);
                Span<float> weights = floats.AsSpan(0, rows * columns);
                for (int row = 0; row < rows; row++)
                    tensor.DecodeRow(HandedOut(first + row, headSize), weights.Slice(row * columns, columns));
                foreach (ref float weight in addend == 0 ? [] : weights)
                    weight -= addend;
                type.Encode(weights, columns, destination);
                ArrayPool<float>.Shared.Return(floats);
            })));
    }

    /// <summary>Which row of GGUF a stored row of the checkpoint is: the inverse of <see cref="RowOrder.Source"/>.</summary>
    private static long HandedOut(long stored, int headSize)
    {
        if (headSize == 0)
            return stored;
        long inHead = stored % headSize, half = headSize / 2;
        return stored - inHead + (inHead < half ? 2 * inHead : (2 * (inHead - half)) + 1);
    }

    private static SafetensorsType TypeOf(TensorType floats) => SafetensorsType.All.First(t => t.Floats == floats);
}
