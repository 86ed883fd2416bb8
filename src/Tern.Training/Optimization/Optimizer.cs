using System.Runtime.InteropServices;
using Tern.Kernels;
using Tern.Machine;
using Tern.Training.Mathematics;
using Tern.Training.Weights;

namespace Tern.Training.Optimization;

/// <summary>
/// Turns gradients into new weights: the matrices of the blocks by the rule of the recipe, embeddings and norms always by <see cref="AdamW"/>.
/// The flat arrays are cut into the same pieces for any number of threads, and pieces are summed in their order.
/// </summary>
internal sealed unsafe class Optimizer : IDisposable
{
    private const int PieceFloats = 1 << 14;

    private readonly TrainingRecipe _recipe;
    private readonly Piece[] _all;
    private readonly Piece[] _byElement; // those that AdamW changes
    private readonly double[] _squares; // [all]
    private readonly NativeBuffer<float> _weights;
    private readonly NativeBuffer<float> _gradients;
    private readonly Muon? _muon;
    private AdamW _adam;
    private GCHandle _self;

    public Optimizer(ParameterSet parameters, TrainingRecipe recipe, NativeBuffer<float> weights, NativeBuffer<float> gradients)
    {
        (_recipe, _weights, _gradients) = (recipe, weights, gradients);
        bool isMuon = recipe.Rule == OptimizerRule.Muon;
        _all = [.. parameters.All.SelectMany(p => Cut(p, recipe))];
        _byElement = isMuon ? [.. parameters.All.Except(parameters.Linears).SelectMany(p => Cut(p, recipe))] : _all;
        _squares = new double[_all.Length];
        First = new NativeBuffer<float>(parameters.Count);
        Second = new NativeBuffer<float>(parameters.Count);
        Average = recipe.AverageDecay > 0 ? new NativeBuffer<float>(parameters.Count) : null;
        _muon = isMuon ? new Muon(parameters.Linears) : null;
        _self = GCHandle.Alloc(this);
    }

    /// <summary>First moments; the momentum of matrices that Muon changes.</summary>
    public NativeBuffer<float> First { get; }

    /// <summary>Second moments; zeros for matrices that Muon changes.</summary>
    public NativeBuffer<float> Second { get; }

    /// <summary>The moving average of the weights, if the recipe keeps one.</summary>
    public NativeBuffer<float>? Average { get; }

    /// <summary>Floats besides moments and average.</summary>
    public static long FloatsNeeded(ModelShape shape, TrainingRecipe recipe) =>
        recipe.Rule == OptimizerRule.Muon ? Muon.FloatsNeeded(new ParameterSet(shape).Linears) : 0;

    /// <summary>The norm of the whole gradient.</summary>
    public double GradientNorm(WorkerPool pool)
    {
        pool.Run(&SquaresBody, (void*)GCHandle.ToIntPtr(_self), _all.Length, 4);
        double sum = 0;
        foreach (double square in _squares)
            sum += square;
        return Math.Sqrt(sum);
    }

    /// <summary>Applies the gradient times <paramref name="factor"/> as step <paramref name="step"/>, from 0.</summary>
    public void Apply(WorkerPool pool, int step, float factor, ulong seed)
    {
        (float rate, float decay) = LearningRates.At(_recipe, step);
        var write = new WeightUpdate
        {
            Weights = _weights.Pointer,
            Average = Average is null ? null : Average.Pointer,
            AverageShare = step == 0 ? 1 : 1 - _recipe.AverageDecay,
            Kept = 1 - (rate * decay),
            Rounds = _recipe.Masters == MasterWeights.BFloat16,
            RoundingSeed = (uint)RandomStream.Mix(seed + (ulong)step),
        };
        _adam = new AdamW
        {
            Gradients = _gradients.Pointer,
            First = First.Pointer,
            Second = Second.Pointer,
            Factor = factor,
            Rate = rate,
            Beta1 = _recipe.Beta1,
            Beta2 = _recipe.Beta2,
            Epsilon = _recipe.AdamEpsilon,
            FirstCorrection = (float)(1 / (1 - PortableMath.Pow(Math.Max(_recipe.Beta1, 1e-30), step + 1))),
            SecondCorrection = (float)(1 / (1 - PortableMath.Pow(Math.Max(_recipe.Beta2, 1e-30), step + 1))),
            Write = write,
        };
        pool.Run(&UpdateBody, (void*)GCHandle.ToIntPtr(_self), _byElement.Length, 4);
        _muon?.Apply(pool, new MomentumStep { Gradients = _gradients.Pointer, Momentum = First.Pointer, Factor = factor, Beta = _recipe.Momentum }, rate, write);
    }

    public void Dispose()
    {
        First.Dispose();
        Second.Dispose();
        Average?.Dispose();
        _muon?.Dispose();
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
        var self = (Optimizer)GCHandle.FromIntPtr((nint)state).Target!;
        for (int i = start; i < end; i++)
            self._squares[i] = WideFunctions.SumOfSquares(self._gradients.Pointer + self._all[i].Start, self._all[i].Count);
    }

    private static void UpdateBody(void* state, int start, int end, int worker)
    {
        var self = (Optimizer)GCHandle.FromIntPtr((nint)state).Target!;
        for (int i = start; i < end; i++)
        {
            Piece piece = self._byElement[i];
            self._adam.Apply(piece.Start, piece.Count, piece.Decays);
        }
    }

    private readonly record struct Piece(long Start, int Count, bool Decays);
}
