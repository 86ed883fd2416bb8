using System.Runtime.Intrinsics;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>A pass over a chunk of logits that works on a block of rows at a time.</summary>
internal interface ILogitPass
{
    /// <summary>Does rows [first, first + rows), at most <see cref="LogitBlocks.Rows"/> of them.</summary>
    void Block(int first, int rows);
}

/// <summary>
/// What the losses over logits have in common. Sixteen rows go through the panels of the vocabulary together, because one row alone would touch a new
/// page for every 32 logits; a row's statistics are sixteen lanes, which are added up at the end.
/// <code>
///   block 0: rows 0..15    block 1: rows 16..31    …    panel 0, panel 1, … of the vocabulary within each
/// </code>
/// </summary>
internal static unsafe class LogitBlocks
{
    /// <summary>Rows of a block.</summary>
    public const int Rows = 16;

    /// <summary>Lanes of a row's statistic.</summary>
    public const int Lanes = 16;

    /// <summary>Gives all blocks of a chunk to the workers.</summary>
    public static void Run<T>(WorkerPool pool, ref T pass, int rows)
        where T : unmanaged, ILogitPass
    {
        fixed (T* first = &pass)
        {
            var work = new Work<T> { Pass = first, Rows = rows };
            pool.Run(&Body<T>, &work, (rows + Rows - 1) / Rows, 1);
        }
    }

    /// <summary>maxima[i] = sixteen times the largest logit of row i.</summary>
    /// <param name="logits">From the first row of a block on.</param>
    /// <param name="rows">Rows of the block.</param>
    /// <param name="maxima">[<see cref="Rows"/>, <see cref="Lanes"/>].</param>
    public static void Maxima(Panels logits, int rows, float* maxima)
    {
        new Span<float>(maxima, Lanes * Rows).Fill(float.NegativeInfinity);
        for (int p = 0; p < logits.Count; p++)
        {
            float* at = logits.Panel(p);
            for (int i = 0; i < rows; i++, at += Panels.Columns)
                Vector512.MaxNative(Vector512.Load(maxima + (Lanes * i)), Vector512.MaxNative(Vector512.Load(at), Vector512.Load(at + Lanes))).Store(maxima + (Lanes * i));
        }

        for (int i = 0; i < rows; i++)
        {
            float max = float.NegativeInfinity;
            for (int lane = 0; lane < Lanes; lane++)
                max = MathF.Max(max, maxima[(Lanes * i) + lane]);
            Vector512.Create(max).Store(maxima + (Lanes * i));
        }
    }

    private static void Body<T>(void* state, int start, int end, int worker)
        where T : unmanaged, ILogitPass
    {
        var work = (Work<T>*)state;
        for (int block = start; block < end; block++)
            work->Pass->Block(block * Rows, Math.Min(Rows, work->Rows - (block * Rows)));
    }

    private struct Work<T>
        where T : unmanaged
    {
        public T* Pass;
        public int Rows;
    }
}
