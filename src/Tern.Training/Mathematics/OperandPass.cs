using System.Runtime.Intrinsics;
using Tern.Machine;
using Tern.Numerics;

namespace Tern.Training.Mathematics;

/// <summary>
/// Makes the left operand of a linear layer, row by row: [gate] → [norm] → [int8]. Gate, norm and rounding are the engine's own functions.
/// <code>
///   x  or  function(gate) · up    →    x / rms(x) · gain    →    codes round(127 x / max|x|), multiplier 127 / max|x|
/// </code>
/// </summary>
internal unsafe struct OperandPass
{
    /// <summary>Rows that one worker takes at a time.</summary>
    private const int Chunk = 16;

    // 1.5 · 2^23: adding it rounds magnitudes below 2^22 to a whole number, half to even.
    private const float RoundShift = 12582912f;

    /// <summary>What is read: rows of x, or with <see cref="IsGated"/> of gate and up side by side.</summary>
    public required Panels Source { get; init; }

    public bool IsGated { get; init; }

    public FeedForwardActivation Activation { get; init; }

    /// <summary>[width] of the norm, or null.</summary>
    public float* Gain { get; init; }

    public float Epsilon { get; init; }

    public required Panels Operand { get; init; }

    /// <summary>λ of the activations' rounding; 0 leaves them alone.</summary>
    public float Blend { get; init; }

    /// <summary>[rows] of the int8 codes, which then are the operand; null where values are.</summary>
    public float* Multipliers { get; init; }

    /// <summary>[rows] 1 / multiplier; written with <see cref="Multipliers"/>.</summary>
    public float* Inverses { get; init; }

    /// <summary>[rows][width] the codes as bytes; null where products are of floats. Written with <see cref="Multipliers"/>.</summary>
    public sbyte* Codes { get; init; }

    /// <summary>[rows] Σ codes; written with <see cref="Codes"/>.</summary>
    public int* Sums { get; init; }

    /// <summary>Two rows of the source's width.</summary>
    public required RowPointers Scratch { get; init; }

    public void Run(WorkerPool pool, int rows)
    {
        fixed (OperandPass* self = &this)
            pool.Run(&Body, self, rows, Chunk);
    }

    private static void Body(void* state, int start, int end, int worker)
    {
        var self = (OperandPass*)state;
        for (int row = start; row < end; row++)
            self->Make(row, self->Scratch.Of(worker, 0), self->Scratch.Of(worker, 1));
    }

    private readonly void Make(int row, float* source, float* x)
    {
        int width = Operand.Width;
        if (IsGated)
        {
            Source.Gather(row, source);
            if (Activation == FeedForwardActivation.Silu)
                EngineOperations.Best.SiluGate(source, source + width, x, width);
            else
                EngineOperations.Best.SquaredReluGate(source, source + width, x, width);
        }
        else
        {
            Source.Gather(row, x);
        }

        if (Gain is not null)
            EngineOperations.Best.RmsNorm(x, Gain, width, Epsilon, x);
        if (Blend > 0)
        {
            float multiplier = ActivationQuantization.TokenMultiplier(ActivationQuantization.MaximumBits(x, width));
            if (Multipliers is not null)
            {
                Multipliers[row] = multiplier;
                Inverses[row] = 1f / multiplier;
                if (Codes is not null)
                    Sums[row] = ActivationQuantization.Encode(x, width, multiplier, Codes + ((nint)row * width));
                Round(x, width, multiplier, x);
            }
            else
            {
                Round(x, width, multiplier, source);
                Vector512<float> step = Vector512.Create(1f / multiplier);
                for (int i = 0; i < width; i += 16)
                {
                    Vector512<float> value = Vector512.Load(x + i);
                    Vector512.FusedMultiplyAdd(Vector512.Create(Blend), (Vector512.Load(source + i) * step) - value, value).Store(x + i);
                }
            }
        }

        Operand.Scatter(x, row);
    }

    /// <summary>The codes of <see cref="ActivationQuantization"/> as floats; the largest magnitude gives 127, so nothing is clamped but its last rounding.</summary>
    private static void Round(float* x, int width, float multiplier, float* codes)
    {
        Vector512<float> shift = Vector512.Create(RoundShift);
        for (int i = 0; i < width; i += 16)
            Vector512.MinNative((Vector512.Load(x + i) * multiplier) + shift - shift, Vector512.Create(127f)).Store(codes + i);
    }
}
