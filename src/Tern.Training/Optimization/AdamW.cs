using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Tern.Kernels;
using Tern.Machine;
using Tern.Training.Mathematics;
using Tern.Training.Weights;

namespace Tern.Training.Optimization;

/// <summary>
/// AdamW with decoupled weight decay (Loshchilov, Hutter 2019), in one pass over weights, gradients and moments.
/// <code>
///   m = β1 m + (1 - β1) g      v = β2 v + (1 - β2) g²      w -= rate (m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + ε) + decay · w)
/// </code>
/// The flat arrays are cut into the same pieces for any number of threads, and pieces are summed in their order.
/// </summary>
internal sealed unsafe class AdamW : IDisposable
{
    private const int PieceFloats = 1 << 14;

    private readonly TrainingRecipe _recipe;
    private readonly Piece[] _pieces;
    private readonly double[] _squares; // [pieces]
    private readonly NativeBuffer<float> _weights;
    private readonly NativeBuffer<float> _gradients;
    private Update _update;
    private GCHandle _self;

    public AdamW(ParameterSet parameters, TrainingRecipe recipe, NativeBuffer<float> weights, NativeBuffer<float> gradients)
    {
        (_recipe, _weights, _gradients) = (recipe, weights, gradients);
        _pieces = [.. parameters.All.SelectMany(p => Cut(p, recipe))];
        _squares = new double[_pieces.Length];
        First = new NativeBuffer<float>(parameters.Count);
        Second = new NativeBuffer<float>(parameters.Count);
        Average = recipe.AverageDecay > 0 ? new NativeBuffer<float>(parameters.Count) : null;
        _self = GCHandle.Alloc(this);
    }

    /// <summary>First moments.</summary>
    public NativeBuffer<float> First { get; }

    /// <summary>Second moments.</summary>
    public NativeBuffer<float> Second { get; }

    /// <summary>The moving average of the weights, if the recipe keeps one.</summary>
    public NativeBuffer<float>? Average { get; }

    /// <summary>The norm of the whole gradient.</summary>
    public double GradientNorm(WorkerPool pool)
    {
        pool.Run(&SquaresBody, (void*)GCHandle.ToIntPtr(_self), _pieces.Length, 4);
        double sum = 0;
        foreach (double square in _squares)
            sum += square;
        return Math.Sqrt(sum);
    }

    /// <summary>Applies the gradient times <paramref name="factor"/> as step <paramref name="step"/>, from 0.</summary>
    public void Apply(WorkerPool pool, int step, float factor, ulong seed)
    {
        (float rate, float decay) = LearningRates.At(_recipe, step);
        _update = new Update
        {
            Factor = factor,
            Rate = rate,
            Decay = rate * decay,
            FirstCorrection = (float)(1 / (1 - PortableMath.Pow(Math.Max(_recipe.Beta1, 1e-30), step + 1))),
            SecondCorrection = (float)(1 / (1 - PortableMath.Pow(Math.Max(_recipe.Beta2, 1e-30), step + 1))),
            RoundingSeed = (uint)RandomStream.Mix(seed + (ulong)step),
            AverageShare = step == 0 ? 1 : 1 - _recipe.AverageDecay,
        };
        pool.Run(&UpdateBody, (void*)GCHandle.ToIntPtr(_self), _pieces.Length, 4);
    }

    public void Dispose()
    {
        First.Dispose();
        Second.Dispose();
        Average?.Dispose();
        if (_self.IsAllocated)
            _self.Free();
    }

    private static IEnumerable<Piece> Cut(Parameter parameter, TrainingRecipe recipe)
    {
        bool decays = parameter.Kind switch
        {
            ParameterKind.Norm => false,
            ParameterKind.Embedding => recipe.DecayEmbedding,
            _ => true,
        };
        for (long done = 0; done < parameter.Count; done += PieceFloats)
            yield return new Piece(parameter.Offset + done, (int)Math.Min(PieceFloats, parameter.Count - done), decays);
    }

    private static void SquaresBody(void* state, int start, int end, int worker)
    {
        var self = (AdamW)GCHandle.FromIntPtr((nint)state).Target!;
        for (int i = start; i < end; i++)
            self._squares[i] = WideFunctions.SumOfSquares(self._gradients.Pointer + self._pieces[i].Start, self._pieces[i].Count);
    }

    private static void UpdateBody(void* state, int start, int end, int worker)
    {
        var self = (AdamW)GCHandle.FromIntPtr((nint)state).Target!;
        for (int i = start; i < end; i++)
            self.Apply(self._pieces[i]);
    }

    private void Apply(Piece piece)
    {
        Update u = _update;
        float* w = _weights.Pointer + piece.Start, g = _gradients.Pointer + piece.Start;
        float* m = First.Pointer + piece.Start, v = Second.Pointer + piece.Start;
        float* average = Average is null ? null : Average.Pointer + piece.Start;
        Vector512<float> beta1 = Vector512.Create(_recipe.Beta1), rest1 = Vector512.Create(1 - _recipe.Beta1);
        Vector512<float> beta2 = Vector512.Create(_recipe.Beta2), rest2 = Vector512.Create(1 - _recipe.Beta2);
        Vector512<float> step = Vector512.Create(u.Rate * u.FirstCorrection), epsilon = Vector512.Create(_recipe.AdamEpsilon);
        Vector512<float> kept = Vector512.Create(piece.Decays ? 1 - u.Decay : 1);
        bool rounds = _recipe.Masters == MasterWeights.BFloat16;
        for (int i = 0; i < piece.Count; i += 16)
        {
            Vector512<float> gradient = Vector512.Load(g + i) * u.Factor;
            Vector512<float> first = Vector512.FusedMultiplyAdd(beta1, Vector512.Load(m + i), rest1 * gradient);
            Vector512<float> second = Vector512.FusedMultiplyAdd(beta2, Vector512.Load(v + i), rest2 * gradient * gradient);
            first.Store(m + i);
            second.Store(v + i);
            Vector512<float> change = step * first / (Vector512.Sqrt(second * u.SecondCorrection) + epsilon);
            Vector512<float> weight = (Vector512.Load(w + i) * kept) - change;
            if (rounds)
                weight = StochasticRounding.ToBFloat16(weight, (uint)(piece.Start + i), u.RoundingSeed);
            weight.Store(w + i);
            if (average is null)
                continue;
            Vector512<float> mean = Vector512.Load(average + i);
            Vector512.FusedMultiplyAdd(Vector512.Create(u.AverageShare), weight - mean, mean).Store(average + i);
        }
    }

    private readonly record struct Piece(long Start, int Count, bool Decays);

    /// <summary>The numbers of one step.</summary>
    private struct Update
    {
        public float Factor, Rate, Decay, FirstCorrection, SecondCorrection, AverageShare;
        public uint RoundingSeed;
    }
}
