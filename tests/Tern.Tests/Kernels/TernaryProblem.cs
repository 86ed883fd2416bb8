using System.Runtime.Intrinsics;
using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

/// <summary>
/// A ternary matmul with codes and activations of the test's choice, -128 included, which quantization never gives: the row is run
/// directly, with multiplier 1 and scale 1 unless told otherwise, so that y is the integer sum itself.
/// </summary>
internal sealed unsafe class TernaryProblem : IDisposable
{
    private readonly int _rows, _columns, _tokens, _codeStride;
    private readonly NativeBuffer<byte> _weights, _words;
    private readonly NativeBuffer<sbyte> _codes;
    private readonly NativeBuffer<float> _multipliers, _scales, _output;
    private readonly NativeBuffer<int> _sums;

    public TernaryProblem(ReadOnlySpan<sbyte> trits, ReadOnlySpan<sbyte> activations, int rows, int tokens)
    {
        (_rows, _columns, _tokens) = (rows, trits.Length / rows, tokens);
        int blocks = (_columns + 127) / 128;
        _codeStride = (_columns + 255) / 256 * 256;
        _weights = new NativeBuffer<byte>(rows * blocks * 32);
        _codes = new NativeBuffer<sbyte>(tokens * _codeStride);
        _multipliers = new NativeBuffer<float>(tokens);
        _scales = new NativeBuffer<float>(rows);
        _output = new NativeBuffer<float>(tokens * rows);
        _sums = new NativeBuffer<int>(tokens);
        _multipliers.Span.Fill(1);
        _scales.Span.Fill(1);
        _words = new NativeBuffer<byte>(TernaryWords.ByteCount(rows, _columns));
        for (int first = 0; first < rows; first += TernaryWords.BlockRows)
            PackWords(trits, first, Math.Min(TernaryWords.BlockRows, rows - first));

        for (int row = 0; row < rows; row++)
        {
            sbyte[] padded = new sbyte[blocks * 128];
            trits.Slice(row * _columns, _columns).CopyTo(padded);
            I2SByDescription.Pack(padded, 0).AsSpan(0, blocks * 32).CopyTo(_weights.Span[(row * blocks * 32)..]);
        }

        for (int token = 0; token < tokens; token++)
        {
            ReadOnlySpan<sbyte> from = activations.Slice(token * _columns, _columns);
            from.CopyTo(_codes.Span[(token * _codeStride)..]);
            foreach (sbyte a in from)
                _sums.Pointer[token] += a;
        }
    }

    public Span<float> Multipliers => _multipliers.Span;

    public Span<float> Scales => _scales.Span;

    /// <summary>[tokens, rows], computed in two pieces, [0, split) and [split, rows), tile by tile of tokens.</summary>
    public float[] Run(KernelRow row, int split = 0)
    {
        bool isWords = row.Layout == WeightLayout.TernaryWords;
        _output.Span.Fill(float.NaN);
        int tile = row.Split is null ? _tokens : row.Split(new MatMulShape(_rows, 1, _tokens, 1)).TileTokens;
        using var scratch = new NativeBuffer<byte>(row.ScratchBytes is null ? 0 : row.ScratchBytes(_columns, tile));
        scratch.Span.Fill(0x5A);
        for (int token = 0; token < _tokens; token += tile)
        {
            var problem = new MatMulProblem
            {
                Rows = _rows,
                Weights = isWords ? _words.Pointer : _weights.Pointer,
                RowBytes = (_columns + 127) / 128 * 32,
                RowScales = _scales.Pointer,
                ScaleColumns = _columns,
                Columns = _columns,
                Tokens = Math.Min(tile, _tokens - token),
                Codes = _codes.Pointer + (token * _codeStride),
                CodeStride = _codeStride,
                Scales = _multipliers.Pointer + token,
                Sums = _sums.Pointer + token,
                Scratch = scratch.Pointer,
                Output = _output.Pointer + (token * _rows),
                OutputStride = _rows,
            };
            if (row.Prepare is not null)
                row.Prepare(&problem);
            if (split > 0)
                row.Run(&problem, 0, split);
            row.Run(&problem, split, _rows);
        }

        return _output.Span.ToArray();
    }

    private void PackWords(ReadOnlySpan<sbyte> trits, int first, int rows)
    {
        int stride = TernaryWords.CodeStride(_columns), words = TernaryWords.WordsOf(_columns);
        using var codes = new NativeBuffer<sbyte>(stride * TernaryWords.BlockRows);
        for (int row = 0; row < rows; row++)
            trits.Slice((first + row) * _columns, _columns).CopyTo(codes.Span[(row * stride)..]);
        TernaryWords.PackBlock(codes.Pointer, rows, words, TernaryWords.Row(_words.Pointer, words, first));
    }

    public void Dispose()
    {
        _weights.Dispose();
        _words.Dispose();
        _codes.Dispose();
        _multipliers.Dispose();
        _scales.Dispose();
        _output.Dispose();
        _sums.Dispose();
    }
}

/// <summary>SDOT in plain C#: lets the ARM row's body run anywhere.</summary>
internal readonly unsafe struct EmulatedDotProduct : IArmDotProduct
{
    public static Vector128<int> DotAccumulate(Vector128<int> sums, Vector128<sbyte> left, Vector128<sbyte> right)
    {
        sbyte* l = (sbyte*)&left, r = (sbyte*)&right;
        int* sum = (int*)&sums;
        for (int i = 0; i < 16; i++)
            sum[i / 4] += l[i] * r[i];
        return sums;
    }
}

/// <summary>The rows of a layout that can run here, and the ARM body on emulated instructions.</summary>
internal static unsafe class RunnableRows
{
    public const string EmulatedArm = "ternary-arm (emulated)";
    public const string EmulatedArmGroups = "ternary-groups-arm (emulated)";

    /// <summary>Rows of the layouts whose rows have one scale.</summary>
    public static TheoryData<string> Ternary() => Names(EmulatedArm, WeightLayout.Ternary, WeightLayout.TernaryWords);

    public static TheoryData<string> TernaryGroups() => Names(EmulatedArmGroups, WeightLayout.TernaryGroups);

    public static KernelRow Find(string name) => name switch
    {
        EmulatedArm => Emulated(name, WeightLayout.Ternary, &TernaryKernel<TernaryArm<EmulatedDotProduct>>.Run),
        EmulatedArmGroups => Emulated(name, WeightLayout.TernaryGroups, &TernaryGroupsKernel<TernaryArm<EmulatedDotProduct>>.Run),
        _ => KernelTable.All.Single(row => row.Name == name),
    };

    private static TheoryData<string> Names(string emulated, params WeightLayout[] layouts)
    {
        var names = new TheoryData<string>();
        foreach (KernelRow row in KernelTable.All)
            if (layouts.Contains(row.Layout) && KernelChoice.Best.Allows(row))
                names.Add(row.Name);
        names.Add(emulated);
        return names;
    }

    private static KernelRow Emulated(string name, WeightLayout layout, delegate*<MatMulProblem*, int, int, void> run) =>
        new() { Name = name, Needs = Isa.None, Layout = layout, Form = ActivationForm.Int8PerToken, Run = run };
}
