using Tern.Machine;
using Tern.Training.Mathematics;

namespace Tern.Training;

/// <summary>Hands out parts of one allocation; first without memory, to learn how much is needed.</summary>
internal sealed unsafe class Arena : IDisposable
{
    // Kernels may read a strip of rows past the last one.
    private const int SlackFloats = GemmKernels.RowStrip * GemmKernels.Panel;

    private readonly NativeBuffer<float>? _memory;

    /// <summary>An arena that only counts.</summary>
    public Arena()
    {
    }

    /// <summary>An arena of a known size.</summary>
    public Arena(long floats) => _memory = new NativeBuffer<float>(floats + SlackFloats);

    public long Used { get; private set; }

    public float* Floats(long count)
    {
        float* at = (_memory is null ? null : _memory.Pointer) + Used;
        Used += (count + 15) / 16 * 16;
        return at;
    }

    public Panels Panels(int rows, int width) => new((nint)Floats((long)rows * width), rows, width);

    public void Dispose() => _memory?.Dispose();
}

/// <summary>The left operand of a linear layer as the forward pass left it.</summary>
internal readonly unsafe struct Operand(Arena arena, int rows, int width)
{
    /// <summary>Codes, or values where products are not integer.</summary>
    public Panels Values { get; } = arena.Panels(rows, width);

    /// <summary>[rows] of the codes.</summary>
    public float* Multipliers { get; } = arena.Floats(rows);

    /// <summary>[rows] 1 / multiplier.</summary>
    public float* Inverses { get; } = arena.Floats(rows);

    /// <summary>[rows] Σ codes.</summary>
    public int* Sums { get; } = (int*)arena.Floats(rows);

    /// <summary>[rows][width] the codes as bytes, for <see cref="IntegerProduct"/>.</summary>
    public sbyte* Codes { get; } = (sbyte*)arena.Floats((long)rows * width / sizeof(float));
}

/// <summary>What the forward pass of one block leaves for the way back.</summary>
internal sealed unsafe class LayerSpace(Arena arena, ModelShape shape, int rows)
{
    /// <summary>[rows, hidden] the residual stream in front of the block.</summary>
    public Panels Input { get; } = arena.Panels(rows, shape.Hidden);

    public Operand AttentionOperand { get; } = new(arena, rows, shape.Hidden);

    /// <summary>[rows, queries | keys | values].</summary>
    public Panels QueryKeyValue { get; } = arena.Panels(rows, shape.QueryWidth + (2 * shape.KeyWidth));

    /// <summary>[heads][rows].</summary>
    public float* LogSums { get; } = arena.Floats((long)shape.Heads * rows);

    /// <summary>[rows, queries].</summary>
    public Panels Context { get; } = arena.Panels(rows, shape.QueryWidth);

    public Operand OutputOperand { get; } = new(arena, rows, shape.QueryWidth);

    /// <summary>[rows, hidden] the residual stream between attention and feed-forward.</summary>
    public Panels Middle { get; } = arena.Panels(rows, shape.Hidden);

    public Operand FeedForwardOperand { get; } = new(arena, rows, shape.Hidden);

    /// <summary>[rows, gate | up].</summary>
    public Panels GateUp { get; } = arena.Panels(rows, 2 * shape.FeedForward);

    public Operand DownOperand { get; } = new(arena, rows, shape.FeedForward);
}

/// <summary>Everything that a pass over one micro batch needs besides weights.</summary>
internal sealed unsafe class Workspace : IDisposable
{
    /// <summary>Rows whose logits exist at a time.</summary>
    private const int LogitRows = 16 * Mathematics.Panels.RowGranule;

    private readonly Arena _arena;
    private readonly NativeBuffer<int> _tokens;

    public Workspace(ModelShape shape, int rows)
        : this(shape, rows, new Arena(FloatsNeeded(shape, rows)))
    {
    }

    private Workspace(ModelShape shape, int rows, Arena arena)
    {
        _arena = arena;
        RowsMax = rows;
        int padded = Panels.Padded(rows);
        int widest = Math.Max(shape.FeedForward, Math.Max(shape.QueryWidth, shape.Hidden));
        Layers = new LayerSpace[shape.Layers];
        for (int i = 0; i < Layers.Length; i++)
            Layers[i] = new LayerSpace(arena, shape, padded);
        Final = arena.Panels(padded, shape.Hidden);
        Normed = arena.Panels(padded, shape.Hidden);
        NormedGradient = arena.Panels(padded, shape.Hidden);
        Residual = arena.Panels(padded, shape.Hidden);
        ScaledResidual = arena.Panels(padded, shape.Hidden);
        ReadGradient = arena.Panels(padded, widest);
        GateUpGradient = arena.Panels(padded, 2 * shape.FeedForward);
        ContextGradient = arena.Panels(padded, shape.QueryWidth);
        QueryKeyValueGradient = arena.Panels(padded, shape.QueryWidth + (2 * shape.KeyWidth));
        GainPartials = arena.Floats((long)((rows + OperandGradient.BlockRows - 1) / OperandGradient.BlockRows) * widest);
        Logits = arena.Panels(Math.Min(padded, LogitRows), shape.Vocabulary);
        Losses = arena.Floats(rows);
        _tokens = new NativeBuffer<int>(2L * rows);
    }

    public int RowsMax { get; }

    public LayerSpace[] Layers { get; }

    /// <summary>[rows, hidden] behind the last block.</summary>
    public Panels Final { get; }

    /// <summary>[rows, hidden] what the output matrix reads.</summary>
    public Panels Normed { get; }

    /// <summary>[rows, hidden].</summary>
    public Panels NormedGradient { get; }

    /// <summary>[rows, hidden] the gradient of the residual stream where the way back stands.</summary>
    public Panels Residual { get; }

    /// <summary>The same, each row divided by the multiplier of the operand that it is about to meet.</summary>
    public Panels ScaledResidual { get; }

    /// <summary>[rows, widest] the gradient of what a linear layer read; products use as many columns as they have.</summary>
    public Panels ReadGradient { get; }

    /// <summary>[rows, gate | up].</summary>
    public Panels GateUpGradient { get; }

    /// <summary>[rows, queries].</summary>
    public Panels ContextGradient { get; }

    /// <summary>[rows, queries | keys | values].</summary>
    public Panels QueryKeyValueGradient { get; }

    /// <summary>[blocks of rows][widest] parts of the gradient of a norm, added up in their order.</summary>
    public float* GainPartials { get; }

    /// <summary>[chunk, vocabulary].</summary>
    public Panels Logits { get; }

    /// <summary>[rows] nats.</summary>
    public float* Losses { get; }

    /// <summary>[rows] ids of the micro batch.</summary>
    public int* Inputs => _tokens.Pointer;

    /// <summary>[rows] targets of the micro batch.</summary>
    public int* Targets => _tokens.Pointer + RowsMax;

    /// <summary>Floats of a workspace.</summary>
    public static long FloatsNeeded(ModelShape shape, int rows)
    {
        var counter = new Arena();
        using var measured = new Workspace(shape, rows, counter);
        return counter.Used;
    }

    public void Dispose()
    {
        _tokens.Dispose();
        _arena.Dispose();
    }
}
