using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

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
    /// <summary>Bytes of eight columns of sixteen rows.</summary>
    private const int SetBytes = 64;

    /// <summary>Columns whose codes stand in one set.</summary>
    private const int StripColumns = 8;

    /// <summary>How far ahead of the codes in hand the plane is asked for.</summary>
    private const int AheadBytes = 2304;

    /// <summary>Blocks [start, end) for all tokens.</summary>
    public static void Run(ScreenProblem* problem, int start, int end)
    {
        int block = start;
        if (problem->Tokens == 1)
            for (; block + 1 < end; block += 2)
                TwoBlocks(problem, block);

        for (; block < end; block++)
        {
            // A block stays in the second-level cache while pairs of tokens pass by.
            int token = 0;
            for (; token + 1 < problem->Tokens; token += 2)
                TwoTokens(problem, block, token);
            if (token < problem->Tokens)
                OneToken(problem, block, token);
        }
    }

    /// <summary>One token, two blocks side by side: more of the memory is under way at a time than with one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TwoBlocks(ScreenProblem* problem, int block)
    {
        long blockBytes = (long)problem->Groups * HeadPlanes.GroupBytes;
        byte* planeA = problem->High + (block * blockBytes), planeB = planeA + blockBytes;
        sbyte* x = problem->Codes;
        float* q = problem->HiddenSteps, middles = problem->Middles, terms = problem->HighTerms;
        TLanes a0 = TLanes.Broadcast(0f), a1 = a0, b0 = a0, b1 = a0, va0 = a0, va1 = a0, vb0 = a0, vb1 = a0;
        for (int group = 0; group < problem->Groups; group++)
        {
            TBytes sumsA0 = TBytes.Zero, sumsA1 = sumsA0, sumsB0 = sumsA0, sumsB1 = sumsA0;
            for (int column = 0; column < HeadPlanes.GroupColumns; column += StripColumns)
            {
                int set = column * 2 * SetBytes / StripColumns;
                Ask(planeA + set);
                Ask(planeB + set);
                TBytes xLow = TBytes.Spread(x + column), xHigh = TBytes.Spread(x + column + (StripColumns / 2));
                TBytes codes = TBytes.Load(planeA + set);
                sumsA0 = TBytes.AddProducts(TBytes.AddProducts(sumsA0, TBytes.LowHalves(codes), xLow), TBytes.HighHalves(codes), xHigh);
                codes = TBytes.Load(planeA + set + SetBytes);
                sumsA1 = TBytes.AddProducts(TBytes.AddProducts(sumsA1, TBytes.LowHalves(codes), xLow), TBytes.HighHalves(codes), xHigh);
                codes = TBytes.Load(planeB + set);
                sumsB0 = TBytes.AddProducts(TBytes.AddProducts(sumsB0, TBytes.LowHalves(codes), xLow), TBytes.HighHalves(codes), xHigh);
                codes = TBytes.Load(planeB + set + SetBytes);
                sumsB1 = TBytes.AddProducts(TBytes.AddProducts(sumsB1, TBytes.LowHalves(codes), xLow), TBytes.HighHalves(codes), xHigh);
            }

            ushort* stepsA = (ushort*)(planeA + HeadPlanes.GroupCodeBytes), stepsB = (ushort*)(planeB + HeadPlanes.GroupCodeBytes);
            Ask((byte*)stepsA);
            Ask((byte*)stepsB);
            TLanes middle = TLanes.Broadcast(middles[group]), hiddenStep = TLanes.Broadcast(q[group]), term = TLanes.Broadcast(terms[group]);
            Accumulate(sumsA0, TLanes.LoadBFloat(stepsA), middle, hiddenStep, term, ref a0, ref va0);
            Accumulate(sumsA1, TLanes.LoadBFloat(stepsA + Lanes.Count), middle, hiddenStep, term, ref a1, ref va1);
            Accumulate(sumsB0, TLanes.LoadBFloat(stepsB), middle, hiddenStep, term, ref b0, ref vb0);
            Accumulate(sumsB1, TLanes.LoadBFloat(stepsB + Lanes.Count), middle, hiddenStep, term, ref b1, ref vb1);
            planeA += HeadPlanes.GroupBytes;
            planeB += HeadPlanes.GroupBytes;
            x += HeadPlanes.GroupColumns;
        }

        Store(problem, block, 0, 0, a0, va0);
        Store(problem, block, 1, 0, a1, va1);
        Store(problem, block + 1, 0, 0, b0, vb0);
        Store(problem, block + 1, 1, 0, b1, vb1);
    }

    /// <summary>Asks for what this stream will read soon: 128 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Ask(byte* plane)
    {
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch0(plane + AheadBytes);
        Sse.Prefetch0(plane + AheadBytes + SetBytes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
            for (int column = 0; column < HeadPlanes.GroupColumns; column += StripColumns)
            {
                TBytes xLow = TBytes.Spread(x + column);
                TBytes xHigh = TBytes.Spread(x + column + (StripColumns / 2));
                TBytes codes = TBytes.Load(plane + (column * 2 * SetBytes / StripColumns));
                sums0 = TBytes.AddProducts(sums0, TBytes.LowHalves(codes), xLow);
                sums0 = TBytes.AddProducts(sums0, TBytes.HighHalves(codes), xHigh);
                codes = TBytes.Load(plane + (column * 2 * SetBytes / StripColumns) + SetBytes);
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

    /// <summary>Two tokens, the names of one beginning with x and of the other with y, share each load of codes; all sums stay in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TwoTokens(ScreenProblem* problem, int block, int token)
    {
        byte* plane = problem->High + ((long)block * problem->Groups * HeadPlanes.GroupBytes);
        long stride = problem->GroupStride, at = token * stride;
        sbyte* x = problem->Codes + (at * HeadPlanes.GroupColumns), y = x + (stride * HeadPlanes.GroupColumns);
        float* q = problem->HiddenSteps + at, middles = problem->Middles + at, terms = problem->HighTerms + at;
        TLanes x0 = TLanes.Broadcast(0f), x1 = x0, y0 = x0, y1 = x0, vx0 = x0, vx1 = x0, vy0 = x0, vy1 = x0;
        for (int group = 0; group < problem->Groups; group++)
        {
            TBytes sumsX0 = TBytes.Zero, sumsX1 = sumsX0, sumsY0 = sumsX0, sumsY1 = sumsX0;
            for (int column = 0; column < HeadPlanes.GroupColumns; column += StripColumns)
            {
                Ask(plane + (column * 2 * SetBytes / StripColumns));
                TBytes codes0 = TBytes.Load(plane + (column * 2 * SetBytes / StripColumns));
                TBytes codes1 = TBytes.Load(plane + (column * 2 * SetBytes / StripColumns) + SetBytes);
                TBytes low0 = TBytes.LowHalves(codes0), low1 = TBytes.LowHalves(codes1);
                TBytes hidden = TBytes.Spread(x + column);
                sumsX0 = TBytes.AddProducts(sumsX0, low0, hidden);
                sumsX1 = TBytes.AddProducts(sumsX1, low1, hidden);
                hidden = TBytes.Spread(y + column);
                sumsY0 = TBytes.AddProducts(sumsY0, low0, hidden);
                sumsY1 = TBytes.AddProducts(sumsY1, low1, hidden);
                TBytes high0 = TBytes.HighHalves(codes0), high1 = TBytes.HighHalves(codes1);
                hidden = TBytes.Spread(x + column + (StripColumns / 2));
                sumsX0 = TBytes.AddProducts(sumsX0, high0, hidden);
                sumsX1 = TBytes.AddProducts(sumsX1, high1, hidden);
                hidden = TBytes.Spread(y + column + (StripColumns / 2));
                sumsY0 = TBytes.AddProducts(sumsY0, high0, hidden);
                sumsY1 = TBytes.AddProducts(sumsY1, high1, hidden);
            }

            var steps = (ushort*)(plane + HeadPlanes.GroupCodeBytes);
            TLanes steps0 = TLanes.LoadBFloat(steps), steps1 = TLanes.LoadBFloat(steps + Lanes.Count);
            TLanes middle = TLanes.Broadcast(middles[group]), hiddenStep = TLanes.Broadcast(q[group]), term = TLanes.Broadcast(terms[group]);
            Accumulate(sumsX0, steps0, middle, hiddenStep, term, ref x0, ref vx0);
            Accumulate(sumsX1, steps1, middle, hiddenStep, term, ref x1, ref vx1);
            middle = TLanes.Broadcast(middles[stride + group]);
            hiddenStep = TLanes.Broadcast(q[stride + group]);
            term = TLanes.Broadcast(terms[stride + group]);
            Accumulate(sumsY0, steps0, middle, hiddenStep, term, ref y0, ref vy0);
            Accumulate(sumsY1, steps1, middle, hiddenStep, term, ref y1, ref vy1);
            plane += HeadPlanes.GroupBytes;
            x += HeadPlanes.GroupColumns;
            y += HeadPlanes.GroupColumns;
        }

        Store(problem, block, 0, token, x0, vx0);
        Store(problem, block, 1, token, x1, vx1);
        Store(problem, block, 0, token + 1, y0, vy0);
        Store(problem, block, 1, token + 1, y1, vy1);
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
