using Tern.Machine;

namespace Tern.Kernels;

/// <summary>
/// Hidden states as the planes meet them: int8 codes, rounded at random with the right expectation, one step per group of 32 columns, and
/// with them what the bounds of <see cref="ScreenBound"/> need of each group.
/// </summary>
internal sealed unsafe class PlaneHidden : IDisposable
{
    /// <summary>Largest code.</summary>
    private const int CodeMax = 127;

    /// <summary>Partial sums of a group in the low plane's kernel: lane i holds columns 4i … 4i + 3.</summary>
    public const int GroupLanes = 8;

    /// <summary>Hidden states outside of these are not screened, so that neither a square nor a sum of squares leaves the floats.</summary>
    private const float LargestMin = 1f / (1 << 20), LargestMax = 1 << 20;

    /// <summary>A group's step is at least this part of the largest one's.</summary>
    private const float StepShareMin = 1f / (1 << 12);

    private readonly NativeBuffer<sbyte> _codes;      // [tokensMax, groupStride · 32]
    private readonly NativeBuffer<float> _steps;      // [tokensMax, groupStride] q_g
    private readonly NativeBuffer<float> _middles;    // [tokensMax, groupStride] 7.5 Σ codes
    private readonly NativeBuffer<float> _highTerms;  // [tokensMax, groupStride] B_g
    private readonly NativeBuffer<float> _lowTerms;   // [tokensMax, groupStride] C_g
    private readonly NativeBuffer<float> _laneMiddles; // [tokensMax, groupStride, 8] 7.5 Σ of a lane's codes
    private readonly float[] _dither;                 // [columns]

    public PlaneHidden(HeadPlanes planes, int tokensMax)
    {
        Columns = planes.Columns;
        Groups = planes.Groups;
        GroupStride = planes.GroupStride;
        int size = tokensMax * GroupStride;
        _codes = new NativeBuffer<sbyte>((long)size * HeadPlanes.GroupColumns);
        _steps = new NativeBuffer<float>(size);
        _middles = new NativeBuffer<float>(size);
        _highTerms = new NativeBuffer<float>(size);
        _lowTerms = new NativeBuffer<float>(size);
        _laneMiddles = new NativeBuffer<float>((long)size * GroupLanes);
        uint seed = PlaneDither.SeedOf(-1);
        _dither = new float[Columns];
        for (int i = 0; i < Columns; i++)
            _dither[i] = ((PlaneDither.Bits(seed, (uint)i) >> 16) + 0.5f) / (1 << 16);
    }

    private int Columns { get; }

    private int Groups { get; }

    /// <summary>Numbers per token in everything that has one per group.</summary>
    public int GroupStride { get; }

    /// <summary>Points a problem at the hidden states from <paramref name="token"/> on.</summary>
    public void Bind(int token, ref ScreenProblem problem)
    {
        long groups = (long)token * GroupStride;
        problem.Codes = _codes.Pointer + (groups * HeadPlanes.GroupColumns);
        problem.HiddenSteps = _steps.Pointer + groups;
        problem.Middles = _middles.Pointer + groups;
        problem.HighTerms = _highTerms.Pointer + groups;
        problem.LowTerms = _lowTerms.Pointer + groups;
        problem.LaneMiddles = _laneMiddles.Pointer + (groups * GroupLanes);
    }

    /// <summary>Rounds a hidden state; false when it cannot be bounded: not finite, all zero, or very large or small.</summary>
    /// <param name="token">Its place.</param>
    /// <param name="hidden">[columns].</param>
    public bool TrySet(int token, ReadOnlySpan<float> hidden)
    {
        float largest = 0;
        bool finite = true;
        foreach (float value in hidden)
        {
            finite &= float.IsFinite(value);
            largest = MathF.Max(largest, MathF.Abs(value));
        }

        if (!finite || largest is not (>= LargestMin and <= LargestMax))
            return false;

        for (int group = 0; group < Groups; group++)
        {
            int start = group * HeadPlanes.GroupColumns;
            int count = Math.Min(HeadPlanes.GroupColumns, Columns - start);
            SetGroup((token * GroupStride) + group, hidden.Slice(start, count), _dither.AsSpan(start, count), largest * StepShareMin);
        }

        return true;
    }

    public void Dispose()
    {
        _codes.Dispose();
        _steps.Dispose();
        _middles.Dispose();
        _highTerms.Dispose();
        _lowTerms.Dispose();
        _laneMiddles.Dispose();
    }

    /// <param name="index">Token and group.</param>
    /// <param name="hidden">Up to 32 columns; codes behind them stay 0.</param>
    /// <param name="dither">In (0, 1), one per column.</param>
    /// <param name="least">The group counts as having a number of this magnitude.</param>
    private void SetGroup(int index, ReadOnlySpan<float> hidden, ReadOnlySpan<float> dither, float least)
    {
        float largest = least;
        foreach (float value in hidden)
            largest = MathF.Max(largest, MathF.Abs(value));

        float step = largest / CodeMax, inverse = 1 / step;
        sbyte* codes = _codes.Pointer + ((long)index * HeadPlanes.GroupColumns);
        int sum = 0, squares = 0;
        for (int i = 0; i < hidden.Length; i++)
        {
            float y = hidden[i] * inverse;
            int below = (int)MathF.Floor(y);
            int code = Math.Clamp((int)MathF.Floor(y + dither[i]), -CodeMax, CodeMax);
            codes[i] = (sbyte)code;
            sum += code;
            int most = Math.Max(Math.Abs(below), Math.Abs(below + 1));
            squares += most * most;
        }

        float* lanes = _laneMiddles.Pointer + ((long)index * GroupLanes);
        for (int lane = 0; lane < GroupLanes; lane++)
        {
            sbyte* own = codes + (lane * HeadPlanes.GroupColumns / GroupLanes);
            lanes[lane] = HeadPlanes.Middle * (own[0] + own[1] + own[2] + own[3]);
        }

        float squaredStep = step * step;
        _steps.Pointer[index] = step;
        _middles.Pointer[index] = HeadPlanes.Middle * sum;
        _highTerms.Pointer[index] = squaredStep * (squares + ScreenBound.GroupSquares);
        _lowTerms.Pointer[index] = squaredStep * ((ScreenBound.LowStep * ScreenBound.LowStep * squares) + ScreenBound.GroupSquares);
    }
}
