using System.Runtime.Intrinsics;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>Rows of the embedding for tokens, and their gradient: each panel of columns is one worker's, who adds the tokens in their order.</summary>
internal unsafe struct EmbeddingPass
{
    /// <summary>[vocabulary, width] weights, or their gradient on the way back.</summary>
    public required float* Table { get; init; }

    /// <summary>[rows] ids.</summary>
    public required int* Tokens { get; init; }

    public required int Rows { get; init; }

    /// <summary>[rows, width] activations, or their gradient.</summary>
    public required Panels Activations { get; init; }

    public void Forward(WorkerPool pool)
    {
        fixed (EmbeddingPass* self = &this)
            pool.Run(&Look, self, Activations.Count, 1);
    }

    public void Back(WorkerPool pool)
    {
        fixed (EmbeddingPass* self = &this)
            pool.Run(&Add, self, Activations.Count, 1);
    }

    private static void Look(void* state, int start, int end, int worker)
    {
        var self = (EmbeddingPass*)state;
        for (int p = start; p < end; p++)
        {
            float* at = self->Activations.Panel(p);
            for (int row = 0; row < self->Rows; row++, at += Panels.Columns)
            {
                float* source = self->Entry(row, p);
                Vector512.Load(source).Store(at);
                Vector512.Load(source + 16).Store(at + 16);
            }
        }
    }

    private static void Add(void* state, int start, int end, int worker)
    {
        var self = (EmbeddingPass*)state;
        for (int p = start; p < end; p++)
        {
            float* at = self->Activations.Panel(p);
            for (int row = 0; row < self->Rows; row++, at += Panels.Columns)
            {
                float* target = self->Entry(row, p);
                (Vector512.Load(target) + Vector512.Load(at)).Store(target);
                (Vector512.Load(target + 16) + Vector512.Load(at + 16)).Store(target + 16);
            }
        }
    }

    private readonly float* Entry(int row, int panel) => Table + ((nint)Tokens[row] * Activations.Width) + (panel * Panels.Columns);
}
