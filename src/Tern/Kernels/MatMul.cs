using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>A weight matrix in the layout that its kernel row reads; made once at load.</summary>
internal sealed unsafe class WeightMatrix : IDisposable
{
    /// <summary>Output features.</summary>
    public int Rows { get; init; }

    /// <summary>Input features.</summary>
    public int Columns { get; init; }

    /// <summary>The row that runs it.</summary>
    public required KernelRow Kernel { get; init; }

    /// <summary>Bytes that one use reads.</summary>
    public long ByteCount { get; init; }

    public void Dispose()
    {
    }
}

/// <summary>The matmul: prepares weights for the best row and runs it behind a fence that checks every length.</summary>
internal static unsafe class MatMul
{
    /// <summary>
    /// Chooses a row for <paramref name="tensor"/>, repacks when the row wants another layout than the file's, and refuses contents that no
    /// kernel may see (code 3 in ternary types, scales that are not finite).
    /// </summary>
    /// <param name="tensor">Stays alive as long as the matrix.</param>
    /// <param name="choice">Which rows may be used.</param>
    /// <param name="pool">Shares the repacking.</param>
    /// <param name="floatActivations">Compute block types (Q8_0 …) with float activations, the plain definition, instead of int8 per block.</param>
    public static WeightMatrix Prepare(Tensor tensor, KernelChoice choice, WorkerPool pool, bool floatActivations = false) =>
        throw new NotSupportedException();

    /// <summary>y[token, row] for all rows and all tokens of <paramref name="x"/>; quantizes x first if the row's form is not there yet.</summary>
    /// <param name="pool">Workers.</param>
    /// <param name="weights">[rows, columns].</param>
    /// <param name="x">[tokens, columns].</param>
    /// <param name="y">[tokens, <paramref name="stride"/>].</param>
    /// <param name="stride">At least weights.Rows.</param>
    public static void Run(WorkerPool pool, WeightMatrix weights, Activations x, float* y, long stride) => throw new NotSupportedException();
}
