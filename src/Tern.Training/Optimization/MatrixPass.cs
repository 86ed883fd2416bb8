using System.Runtime.Intrinsics;
using Tern.Machine;
using Tern.Training.Mathematics;

namespace Tern.Training.Optimization;

/// <summary>Between a row-major matrix of the flat arrays and its upright X; 32 rows of the matrix are the unit of work.</summary>
internal unsafe struct MatrixPass
{
    /// <summary>First float of the matrix.</summary>
    public required long Matrix { get; init; }

    public required int Columns { get; init; }

    /// <summary>Whether X is the transpose.</summary>
    public required bool IsWide { get; init; }

    public required Panels X { get; init; }

    public required MomentumStep Momentum { get; init; }

    /// <summary>[blocks] sums of squares.</summary>
    public required double* Squares { get; init; }

    public required WeightUpdate Write { get; init; }

    /// <summary>Factor of X.</summary>
    public float Change { get; init; }

    /// <summary>X and the sums of squares from the gradient and the momentum.</summary>
    public void Fill(WorkerPool pool, int blocks)
    {
        fixed (MatrixPass* self = &this)
            pool.Run(&FillBody, self, blocks, 1);
    }

    /// <summary>Weights from X.</summary>
    public void Update(WorkerPool pool, int blocks)
    {
        fixed (MatrixPass* self = &this)
            pool.Run(&UpdateBody, self, blocks, 1);
    }

    private static void FillBody(void* state, int start, int end, int worker)
    {
        var self = (MatrixPass*)state;
        for (int block = start; block < end; block++)
            self->Fill(block);
    }

    private static void UpdateBody(void* state, int start, int end, int worker)
    {
        var self = (MatrixPass*)state;
        for (int block = start; block < end; block++)
            self->Update(block);
    }

    private readonly void Fill(int block)
    {
        Vector512<float> sums = default;
        for (int i = 0; i < Panels.Columns; i++)
        {
            int row = (block * Panels.Columns) + i;
            for (int column = 0; column < Columns; column += 16)
            {
                Vector512<float> direction = Momentum.Next(Matrix + ((long)row * Columns) + column);
                sums = Vector512.FusedMultiplyAdd(direction, direction, sums);
                if (!IsWide)
                {
                    direction.Store(X.At(row, column));
                    continue;
                }

                float* lane = X.Panel(block) + ((nint)column * Panels.Columns) + i;
                for (int j = 0; j < 16; j++)
                    lane[j * Panels.Columns] = direction[j];
            }
        }

        double sum = 0;
        for (int lane = 0; lane < 16; lane++)
            sum += sums[lane];
        Squares[block] = sum;
    }

    private readonly void Update(int block)
    {
        Vector512<float> kept = Vector512.Create(Write.Kept), change = Vector512.Create(Change);
        float* line = stackalloc float[16];
        for (int i = 0; i < Panels.Columns; i++)
        {
            int row = (block * Panels.Columns) + i;
            for (int column = 0; column < Columns; column += 16)
            {
                float* source = line;
                if (!IsWide)
                    source = X.At(row, column);
                else
                    for (int j = 0; j < 16; j++)
                        line[j] = X.Panel(block)[((nint)(column + j) * Panels.Columns) + i];
                Write.Apply(Matrix + ((long)row * Columns) + column, kept, Vector512.Load(source) * change);
            }
        }
    }
}
