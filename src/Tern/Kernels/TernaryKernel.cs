using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Kernels;

/// <summary>
/// What an instruction set brings to the ternary matmul. All dot products are of codes 0..2 with int8 activations, Σ code·a: the caller
/// takes Σ a off, which leaves Σ (code - 1)·a. All are exact for every activation in -128..127.
/// </summary>
internal unsafe interface ITernaryIsa
{
    /// <summary>Tokens that <see cref="Tile"/> computes at once: 2, 3 or 4.</summary>
    static abstract int TileTokens { get; }

    /// <summary>Most columns that <see cref="Tile"/> sums without overflow, a multiple of 128.</summary>
    static abstract int PanelColumns { get; }

    /// <summary>
    /// Four packed rows times one token: the decode step, bound by reading the weights once. For each block of the four rows it asks the
    /// cache for the next 128 bytes from <paramref name="ahead"/> on, which is no access: the address may lie outside the weights.
    /// </summary>
    static abstract Vector128<int> Dot4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* x, int blocks, byte* ahead);

    /// <summary>Unpacks blocks of 128 weights to one code per byte in the order of columns; both sides of any alignment.</summary>
    static abstract void Unpack(byte* packed, int blocks, byte* codes);

    /// <summary>Adds four unpacked rows times <see cref="TileTokens"/> tokens to <paramref name="sums"/>, one vector of four rows per token.</summary>
    static abstract void Tile(byte* codes, int rowStride, sbyte** x, int columns, Vector128<int>* sums);
}

/// <summary>
/// The loop over rows, tokens, tiles and tails of the ternary layout, once for all instruction sets.
/// <code>
///            tokens →  [ tile ][ tile ][ tile ] 1 1      rows go four at a time; whole tiles of tokens share the weights of the four
/// 4 rows  ↓            [      ][      ][      ] | |      rows, unpacked once per panel of columns; single tokens left over read the
/// 4 rows               [      ][      ][      ] | |      packed weights, as the decode step does
/// </code>
/// Rows missing in the last four are stood in for by the last row, and their results dropped.
/// </summary>
internal static unsafe class TernaryKernel<TIsa>
    where TIsa : struct, ITernaryIsa
{
    /// <summary>Tokens per round of panels: bounds the sums on the stack. A multiple of 2, 3 and 4.</summary>
    private const int RoundTokens = 192;

    private const int CacheLine = 64;

    /// <summary>
    /// How far ahead of the four rows in hand weights are asked for. The processor's own prefetching does not follow four rows at a time:
    /// from memory, 4 or 8 KiB ahead was 1.7 times as fast as none (2 KiB 1.55); the end of a chunk of rows asks for this much in vain.
    /// </summary>
    private const int AheadBytes = 4096;

    public static void Run(MatMulProblem* problem, int start, int end)
    {
        int blocks = (problem->Columns + 127) / 128;
        int tiled = TiledTokens(problem->Tokens);
        for (int row = start; row < end; row += 4)
        {
            byte* row0 = problem->Weights + row * problem->RowBytes;
            byte* row1 = problem->Weights + Math.Min(row + 1, end - 1) * problem->RowBytes;
            byte* row2 = problem->Weights + Math.Min(row + 2, end - 1) * problem->RowBytes;
            byte* row3 = problem->Weights + Math.Min(row + 3, end - 1) * problem->RowBytes;
            if (tiled > 0)
                RunTiles(problem, row, end, tiled);
            for (int token = tiled; token < problem->Tokens; token++)
            {
                sbyte* x = problem->Codes + (long)token * problem->CodeStride;
                Store(problem, token, row, end, TIsa.Dot4(row0, row1, row2, row3, x, blocks, row0 + AheadBytes));
            }
        }
    }

    /// <summary>Tokens that run in tiles: whole tiles, and one partly filled when more than half of it would be used.</summary>
    private static int TiledTokens(int tokens)
    {
        int left = tokens % TIsa.TileTokens;
        return 2 * left > TIsa.TileTokens ? tokens : tokens - left;
    }

    [SkipLocalsInit]
    private static void RunTiles(MatMulProblem* problem, int row, int end, int tokens)
    {
        byte* codesMemory = stackalloc byte[4 * TIsa.PanelColumns + CacheLine];
        byte* codes = (byte*)(((nuint)codesMemory + CacheLine - 1) & ~(nuint)(CacheLine - 1)); // [4, PanelColumns]
        Vector128<int>* sums = stackalloc Vector128<int>[RoundTokens];                         // [RoundTokens] of four rows
        sbyte** x = stackalloc sbyte*[4];
        int columns = (problem->Columns + 127) / 128 * 128;

        for (int first = 0; first < tokens; first += RoundTokens)
        {
            int last = Math.Min(first + RoundTokens, tokens);
            new Span<Vector128<int>>(sums, RoundTokens).Clear();
            for (int column = 0; column < columns; column += TIsa.PanelColumns)
            {
                int width = Math.Min(TIsa.PanelColumns, columns - column);
                for (int i = 0; i < 4; i++)
                {
                    byte* packed = problem->Weights + Math.Min(row + i, end - 1) * problem->RowBytes + column / 4;
                    TIsa.Unpack(packed, width / 128, codes + i * TIsa.PanelColumns);
                }

                for (int token = first; token < last; token += TIsa.TileTokens)
                {
                    for (int i = 0; i < TIsa.TileTokens; i++)
                        x[i] = problem->Codes + (long)Math.Min(token + i, last - 1) * problem->CodeStride + column;
                    TIsa.Tile(codes, TIsa.PanelColumns, x, width, sums + (token - first));
                }
            }

            for (int token = first; token < last; token++)
                Store(problem, token, row, end, sums[token - first]);
        }
    }

    /// <summary>y = (float)(Σ code·a - Σ a) / s · scale for up to four rows.</summary>
    private static void Store(MatMulProblem* problem, int token, int row, int end, Vector128<int> sums)
    {
        Vector128<float> dots = Vector128.ConvertToSingle(sums - Vector128.Create(problem->Sums[token]));
        Vector128<float> unscaled = dots / Vector128.Create(problem->Scales[token]);
        float* y = problem->Output + token * problem->OutputStride + row;
        if (end - row >= 4)
        {
            (unscaled * Vector128.Load(problem->RowScales + row)).Store(y);
            return;
        }

        for (int i = 0; i < end - row; i++)
            y[i] = unscaled[i] * problem->RowScales[row + i];
    }
}
