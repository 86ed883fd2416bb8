using System.Buffers.Binary;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>Canonical I2_S as formats.md describes it, written again from the description: the tests' own idea of the working layout.</summary>
internal sealed unsafe class I2SByDescription : TernaryType
{
    public static I2SByDescription Instance { get; } = new();

    public override string Name => "I2_S";

    public override int GgufId => 36;

    public override int BlockSize => 128;

    public override int BlockBytes => 32;

    public override UInt128 ByteCount(UInt128 columns, UInt128 rows) => columns * rows / 4 + 32;

    public override bool FitsShape(UInt128 columns, UInt128 rows) => columns * rows % 128 == 0;

    public override long ScaleColumns(Tensor tensor) => tensor.Columns;

    public override float ScaleOf(Tensor tensor, long row, long group) =>
        BinaryPrimitives.ReadSingleLittleEndian(tensor.Bytes(tensor.Rows * tensor.Columns / 4, 4));

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination) => throw new NotSupportedException();

    public override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        for (int column = 0; column < tensor.Columns; column++)
        {
            long flat = row * tensor.Columns + column;
            codes[column] = (sbyte)((tensor.Data[flat / 128 * 32 + flat % 32] >> (int)(6 - 2 * (flat % 128 / 32)) & 3) - 1);
        }
    }

    /// <summary>Codes -1..2 (2 is the forbidden code 3) to bytes with the scale behind.</summary>
    public static byte[] Pack(ReadOnlySpan<sbyte> codes, float scale)
    {
        byte[] bytes = new byte[codes.Length / 4 + 32];
        for (int i = 0; i < codes.Length; i++)
            bytes[i / 128 * 32 + i % 32] |= (byte)((codes[i] + 1) << (6 - 2 * (i % 128 / 32)));
        BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(codes.Length / 4), scale);
        bytes.AsSpan(codes.Length / 4 + 4).Fill(0xAB);
        return bytes;
    }
}

/// <summary>A made-up ternary type: a row is its scales as float32, then a byte per code; groups of <paramref name="groupColumns"/> columns share a scale.</summary>
internal sealed unsafe class GroupedCodes(int groupColumns) : TernaryType
{
    public override string Name => "GROUPED_CODES";

    public override int GgufId => 9999;

    public override int BlockSize => 1;

    public override int BlockBytes => 1;

    public override UInt128 ByteCount(UInt128 columns, UInt128 rows) => rows * (UInt128)RowBytes((long)columns);

    public override long ScaleColumns(Tensor tensor) => groupColumns;

    public override float ScaleOf(Tensor tensor, long row, long group) =>
        BinaryPrimitives.ReadSingleLittleEndian(tensor.Bytes(row * RowBytes(tensor.Columns) + 4 * group, 4));

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination) => throw new NotSupportedException();

    public override void DecodeCodes(Tensor tensor, long row, Span<sbyte> codes)
    {
        byte* from = tensor.Data + row * RowBytes(tensor.Columns) + 4 * Groups(tensor.Columns);
        new Span<sbyte>(from, (int)tensor.Columns).CopyTo(codes);
    }

    public byte[] Pack(ReadOnlySpan<sbyte> codes, ReadOnlySpan<float> scales, int rows)
    {
        int columns = codes.Length / rows, groups = (int)Groups(columns);
        byte[] bytes = new byte[rows * RowBytes(columns)];
        for (int row = 0; row < rows; row++)
        {
            int at = row * (int)RowBytes(columns);
            for (int group = 0; group < groups; group++)
                BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(at + 4 * group), scales[row * groups + group]);
            for (int column = 0; column < columns; column++)
                bytes[at + 4 * groups + column] = (byte)codes[row * columns + column];
        }

        return bytes;
    }

    private long Groups(long columns) => (columns + groupColumns - 1) / groupColumns;

    private long RowBytes(long columns) => 4 * Groups(columns) + columns;
}

/// <summary>A made-up type with nothing but a decoder: float32 of half the stored byte.</summary>
internal sealed unsafe class HalvedBytes : TensorType
{
    public static HalvedBytes Instance { get; } = new();

    public override string Name => "HALVED_BYTES";

    public override int GgufId => 9998;

    public override int BlockSize => 1;

    public override int BlockBytes => 1;

    public override void DecodeRow(Tensor tensor, long row, Span<float> destination)
    {
        for (int column = 0; column < tensor.Columns; column++)
            destination[column] = (sbyte)tensor.Data[row * tensor.Columns + column] * 0.5f;
    }

    /// <summary>A byte of 0x80 plays the part of a scale that is not finite.</summary>
    public override long FindBadScale(Tensor tensor) => new ReadOnlySpan<byte>(tensor.Data, (int)tensor.ByteCount).IndexOf((byte)0x80);
}

/// <summary>A tensor whose bytes are a copy outside the garbage collector's heap.</summary>
internal sealed unsafe class OwnedTensor : IDisposable
{
    private readonly NativeBuffer<byte> _bytes;

    public OwnedTensor(TensorType type, ReadOnlySpan<byte> bytes, int rows, int columns, string name = "blk.0.test.weight", long fileOffset = 4096)
    {
        _bytes = new NativeBuffer<byte>(bytes.Length);
        bytes.CopyTo(_bytes.Span);
        Tensor = new Tensor
        {
            Name = name,
            Type = type,
            Shape = [columns, rows],
            Data = _bytes.Pointer,
            ByteCount = bytes.Length,
            Path = "test.gguf",
            FileOffset = fileOffset,
        };
    }

    public Tensor Tensor { get; }

    public void Dispose() => _bytes.Dispose();
}
