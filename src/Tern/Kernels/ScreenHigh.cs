using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>
/// 64 bytes that move together: four bytes of each of sixteen rows, or their 32 sums in 16 bits. <see cref="PlaneLanesScalar"/> is the
/// definition.
/// </summary>
/// <typeparam name="TSelf">The implementing struct.</typeparam>
/// <typeparam name="TLanes">Floats in the same registers.</typeparam>
internal unsafe interface IPlaneLanes<TSelf, TLanes>
    where TSelf : unmanaged, IPlaneLanes<TSelf, TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    static abstract TSelf Zero { get; }

    /// <summary>64 bytes.</summary>
    static abstract TSelf Load(byte* source);

    /// <summary>Four bytes, for each of the sixteen rows.</summary>
    static abstract TSelf Spread(sbyte* source);

    /// <summary>The lower half of each byte.</summary>
    static abstract TSelf LowHalves(TSelf bytes);

    /// <summary>The upper half of each byte.</summary>
    static abstract TSelf HighHalves(TSelf bytes);

    /// <summary>sums[j] + codes[2j] · x[2j] + codes[2j + 1] · x[2j + 1] in 16 bits, with codes of 0 … 15 and x of −127 … 127.</summary>
    static abstract TSelf AddProducts(TSelf sums, TSelf codes, TSelf x);

    /// <summary>The two sums of each row as one float.</summary>
    static abstract TLanes ToFloats(TSelf sums);
}

/// <summary>
/// Estimates and squared bounds of whole blocks of rows from the high plane. Definition of every output, in float32: over ascending groups
/// estimate = fma((Σ codes · x − 7.5 Σ x) · q, s, estimate) and V = fma(s · s, B, V), the integers exact; bound = κ² · V.
/// A lane of 16 bits takes 16 products of at most 15 · 127: 30,480.
/// </summary>
[SkipLocalsInit]
internal static unsafe class ScreenHigh<TBytes, TLanes>
    where TBytes : unmanaged, IPlaneLanes<TBytes, TLanes>
    where TLanes : unmanaged, ILanes<TLanes>
{
    /// <summary>Tokens that share one load of the plane's codes.</summary>
    private const int TileTokens = 4;

    /// <summary>Bytes of eight columns of sixteen rows.</summary>
    private const int SetBytes = 64;

    /// <summary>Columns whose codes stand in one set.</summary>
    private const int StripColumns = 8;

    private const int Strips = HeadPlanes.GroupColumns / StripColumns;

    /// <summary>Blocks [start, end) for all tokens.</summary>
    public static void Run(ScreenProblem* problem, int start, int end)
    {
        for (int block = start; block < end; block++)
        {
            for (int token = 0; token < problem->Tokens; token += TileTokens)
            {
                int tokens = Math.Min(TileTokens, problem->Tokens - token);
                if (tokens == 1)
                    OneToken(problem, block, token);
                else
                    FewTokens(problem, block, token, tokens);
            }
        }
    }

    private static void OneToken(ScreenProblem* problem, int block, int token)
    {
        byte* plane = problem->High + ((long)block * problem->Groups * HeadPlanes.GroupBytes);
        long at = (long)token * problem->GroupStride;
        sbyte* x = problem->Codes + (at * HeadPlanes.GroupColumns);
        float* q = problem->HiddenSteps + at, middles = problem->Middles + at, terms = problem->HighTerms + at;
        TLanes estimate0 = TLanes.Broadcast(0f), estimate1 = estimate0, v0 = estimate0, v1 = estimate0;
        for (int group = 0; group < problem->Groups; group++)
        {
            TBytes sums0 = TBytes.Zero, sums1 = TBytes.Zero;
            for (int strip = 0; strip < Strips; strip++)
            {
                TBytes xLow = TBytes.Spread(x + (strip * StripColumns));
                TBytes xHigh = TBytes.Spread(x + (strip * StripColumns) + (StripColumns / 2));
                TBytes codes = TBytes.Load(plane + (strip * 2 * SetBytes));
                sums0 = TBytes.AddProducts(sums0, TBytes.LowHalves(codes), xLow);
                sums0 = TBytes.AddProducts(sums0, TBytes.HighHalves(codes), xHigh);
                codes = TBytes.Load(plane + (strip * 2 * SetBytes) + SetBytes);
                sums1 = TBytes.AddProducts(sums1, TBytes.LowHalves(codes), xLow);
                sums1 = TBytes.AddProducts(sums1, TBytes.HighHalves(codes), xHigh);
            }

            var steps = (ushort*)(plane + HeadPlanes.GroupCodeBytes);
            TLanes middle = TLanes.Broadcast(middles[group]), hiddenStep = TLanes.Broadcast(q[group]), term = TLanes.Broadcast(terms[group]);
            Accumulate(sums0, TLanes.LoadBFloat(steps), middle, hiddenStep, term, ref estimate0, ref v0);
            Accumulate(sums1, TLanes.LoadBFloat(steps + Lanes.Count), middle, hiddenStep, term, ref estimate1, ref v1);
            plane += HeadPlanes.GroupBytes;
            x += HeadPlanes.GroupColumns;
        }

        Store(problem, block, 0, token, estimate0, v0);
        Store(problem, block, 1, token, estimate1, v1);
    }

    /// <summary>2 … 4 tokens, one set of sixteen rows after the other; the floats of all tokens wait in memory between groups.</summary>
    private static void FewTokens(ScreenProblem* problem, int block, int token, int tokens)
    {
        TLanes* estimates = stackalloc TLanes[TileTokens];
        TLanes* squares = stackalloc TLanes[TileTokens];
        int t1 = Math.Min(1, tokens - 1), t2 = Math.Min(2, tokens - 1), t3 = Math.Min(3, tokens - 1);
        for (int set = 0; set < 2; set++)
        {
            for (int t = 0; t < TileTokens; t++)
                estimates[t] = squares[t] = TLanes.Broadcast(0f);

            byte* plane = problem->High + ((long)block * problem->Groups * HeadPlanes.GroupBytes);
            for (int group = 0; group < problem->Groups; group++)
            {
                long at = ((long)token * problem->GroupStride) + group;
                long stride = (long)problem->GroupStride * HeadPlanes.GroupColumns;
                sbyte* x0 = problem->Codes + (at * HeadPlanes.GroupColumns);
                sbyte* x1 = x0 + (t1 * stride), x2 = x0 + (t2 * stride), x3 = x0 + (t3 * stride);
                TBytes a = TBytes.Zero, b = a, c = a, d = a;
                for (int strip = 0; strip < Strips; strip++)
                {
                    TBytes codes = TBytes.Load(plane + (((strip * 2) + set) * SetBytes));
                    TBytes half = TBytes.LowHalves(codes);
                    int column = strip * StripColumns;
                    a = TBytes.AddProducts(a, half, TBytes.Spread(x0 + column));
                    b = TBytes.AddProducts(b, half, TBytes.Spread(x1 + column));
                    c = TBytes.AddProducts(c, half, TBytes.Spread(x2 + column));
                    d = TBytes.AddProducts(d, half, TBytes.Spread(x3 + column));
                    half = TBytes.HighHalves(codes);
                    column += StripColumns / 2;
                    a = TBytes.AddProducts(a, half, TBytes.Spread(x0 + column));
                    b = TBytes.AddProducts(b, half, TBytes.Spread(x1 + column));
                    c = TBytes.AddProducts(c, half, TBytes.Spread(x2 + column));
                    d = TBytes.AddProducts(d, half, TBytes.Spread(x3 + column));
                }

                TLanes steps = TLanes.LoadBFloat((ushort*)(plane + HeadPlanes.GroupCodeBytes) + (set * Lanes.Count));
                Accumulate(problem, at, a, steps, estimates, squares, 0, 0);
                Accumulate(problem, at, b, steps, estimates, squares, 1, t1);
                Accumulate(problem, at, c, steps, estimates, squares, 2, t2);
                Accumulate(problem, at, d, steps, estimates, squares, 3, t3);
                plane += HeadPlanes.GroupBytes;
            }

            for (int t = 0; t < tokens; t++)
                Store(problem, block, set, token + t, estimates[t], squares[t]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(ScreenProblem* problem, long at, TBytes sums, TLanes steps, TLanes* estimates, TLanes* squares, int slot, int token)
    {
        long own = at + ((long)token * problem->GroupStride);
        Accumulate(
            sums, steps, TLanes.Broadcast(problem->Middles[own]), TLanes.Broadcast(problem->HiddenSteps[own]), TLanes.Broadcast(problem->HighTerms[own]),
            ref estimates[slot], ref squares[slot]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(TBytes sums, TLanes steps, TLanes middle, TLanes hiddenStep, TLanes term, ref TLanes estimate, ref TLanes v)
    {
        TLanes dot = TLanes.Multiply(TLanes.Subtract(TBytes.ToFloats(sums), middle), hiddenStep);
        estimate = TLanes.FusedMultiplyAdd(dot, steps, estimate);
        v = TLanes.FusedMultiplyAdd(TLanes.Multiply(steps, steps), term, v);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(ScreenProblem* problem, int block, int set, int token, TLanes estimate, TLanes v)
    {
        long row = ((long)token * problem->RowStride) + (block * HeadPlanes.BlockRows) + (set * Lanes.Count);
        TLanes.Store(estimate, problem->Estimates + row);
        TLanes.Store(TLanes.Multiply(v, TLanes.Broadcast(problem->HighBound)), problem->Squares + row);
    }
}
