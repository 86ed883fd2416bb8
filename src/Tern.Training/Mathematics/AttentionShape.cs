using Tern.Kernels;
using Tern.Machine;
using Tern.Models;

namespace Tern.Training.Mathematics;

/// <summary>What attention needs to know of the model, with the tables of rotary angles and the scratch of every worker.</summary>
internal sealed unsafe class AttentionShape : IDisposable
{
    private readonly NativeBuffer<float> _angles; // [2][context][headDim]: cosines, then sines; the second table turns back
    private readonly NativeBuffer<float> _scratch;

    public AttentionShape(ModelShape shape, int threads)
    {
        (Heads, KvHeads, HeadDim, Context) = (shape.Heads, shape.KvHeads, shape.HeadDim, shape.Context);
        Scale = 1 / MathF.Sqrt(HeadDim);
        _angles = new NativeBuffer<float>(2L * Context * HeadDim);
        double[] frequencies = RotaryFrequencies.From(new RopeSpec { Style = RopeStyle.Halves, Dimensions = HeadDim, Base = shape.RopeBase }, []).PerPair;
        for (int position = 0; position < Context; position++)
        {
            float* forward = Angles(position), back = BackAngles(position);
            RopeTable.Fill(frequencies, 1, position, forward);
            for (int i = 0; i < HeadDim; i++)
                back[i] = i < HeadDim / 2 ? forward[i] : -forward[i];
        }

        WorkerFloats = AttentionScratch.Floats(PaddedContext, PaddedHead);
        _scratch = new NativeBuffer<float>(threads * WorkerFloats);
    }

    public int Heads { get; }

    public int KvHeads { get; }

    public int HeadDim { get; }

    public int Context { get; }

    public float Scale { get; }

    /// <summary>Floats of scratch of one worker.</summary>
    public long WorkerFloats { get; }

    public int PaddedHead => (HeadDim + Panels.Columns - 1) / Panels.Columns * Panels.Columns;

    private int PaddedContext => (Context + Panels.Columns - 1) / Panels.Columns * Panels.Columns;

    public float* Angles(int position) => _angles.Pointer + ((long)position * HeadDim);

    public float* BackAngles(int position) => _angles.Pointer + ((long)(Context + position) * HeadDim);

    public AttentionScratch Scratch(int worker) => new(_scratch.Pointer + (worker * WorkerFloats), PaddedContext, PaddedHead);

    /// <summary>Floats of tables and scratch.</summary>
    public static long FloatsNeeded(ModelShape shape, int threads)
    {
        int context = (shape.Context + Panels.Columns - 1) / Panels.Columns * Panels.Columns;
        int head = (shape.HeadDim + Panels.Columns - 1) / Panels.Columns * Panels.Columns;
        return (2L * shape.Context * shape.HeadDim) + (threads * AttentionScratch.Floats(context, head));
    }

    public void Dispose()
    {
        _angles.Dispose();
        _scratch.Dispose();
    }
}

/// <summary>
/// One worker's memory for one head of one sequence. Keys and values stand in both orders that products want: transposed for scores, and as rows
/// for sums over positions. Query rows go through in blocks.
/// </summary>
internal readonly unsafe struct AttentionScratch
{
    /// <summary>Query rows at a time.</summary>
    public const int BlockRows = 4 * GemmKernels.RowStrip;

    public AttentionScratch(float* memory, int context, int head)
    {
        nint sequence = (nint)context * head, block = (nint)BlockRows * head, scores = (nint)BlockRows * context;
        KeyColumns = memory;
        KeyRows = KeyColumns + sequence;
        ValueColumns = KeyRows + sequence;
        ValueRows = ValueColumns + sequence;
        KeyGradient = ValueRows + sequence;
        ValueGradient = KeyGradient + sequence;
        Query = new Panels((nint)(ValueGradient + sequence), BlockRows, head);
        Output = new Panels((nint)((float*)Query.Data + block), BlockRows, head);
        Gradient = new Panels((nint)((float*)Output.Data + block), BlockRows, head);
        Probabilities = new Panels((nint)((float*)Gradient.Data + block), BlockRows, context);
        ScoreGradient = new Panels((nint)((float*)Probabilities.Data + scores), BlockRows, context);
        Row = (float*)ScoreGradient.Data + scores;
    }

    /// <summary>[context / 32][head][32]: kᵀ.</summary>
    public float* KeyColumns { get; }

    /// <summary>[head / 32][context][32]: k.</summary>
    public float* KeyRows { get; }

    /// <summary>[context / 32][head][32]: vᵀ.</summary>
    public float* ValueColumns { get; }

    /// <summary>[head / 32][context][32]: v.</summary>
    public float* ValueRows { get; }

    /// <summary>[context][head].</summary>
    public float* KeyGradient { get; }

    /// <summary>[context][head].</summary>
    public float* ValueGradient { get; }

    public Panels Query { get; }

    public Panels Output { get; }

    public Panels Gradient { get; }

    public Panels Probabilities { get; }

    public Panels ScoreGradient { get; }

    /// <summary>[2 · head] of one row, then [BlockRows] numbers.</summary>
    public float* Row { get; }

    public static long Floats(int context, int head) => (6L * context * head) + (3L * BlockRows * head) + (2L * BlockRows * context) + (2L * head) + BlockRows + 64;
}
