using Tern.Machine;
using Tern.Numerics;

namespace Tern.Kernels;

/// <summary>How weights lie in memory while they are used. Most types are used as the file holds them; ternary types share one layout.</summary>
internal sealed class WeightLayout
{
    private readonly Func<Tensor, WorkerPool, WeightArena?, NativeBuffer<byte>>? _pack;

    private WeightLayout(string name, TensorType? native, Func<Tensor, WorkerPool, WeightArena?, NativeBuffer<byte>>? pack = null) =>
        (Name, Native, _pack) = (name, native, pack);

    public string Name { get; }

    /// <summary>The tensor type whose file bytes this layout is, or is packed from; null for the layouts that all ternary types share.</summary>
    public TensorType? Native { get; }

    /// <summary>
    /// Two bits per weight, every ternary type: blocks of 128 weights in 32 bytes as in canonical I2_S (byte p: bits 7-6 = w[p], 5-4 = w[32+p],
    /// 3-2 = w[64+p], 1-0 = w[96+p]; code - 1 = weight), rows padded with code 1 (zero) to whole blocks, one float32 scale per row.
    /// </summary>
    public static WeightLayout Ternary { get; } = new("ternary", null);

    /// <summary>The codes of <see cref="Ternary"/> with a float32 scale per group of columns, for files whose scales differ inside a row.</summary>
    public static WeightLayout TernaryGroups { get; } = new("ternary-groups", null);

    /// <summary>1.6 bits per weight, every ternary type whose rows have one scale each: <see cref="Kernels.TernaryWords"/>, one float32 scale per row.</summary>
    public static WeightLayout TernaryWords { get; } = new("ternary-words", null);

    /// <summary>Any type that is not ternary, read through <see cref="TensorType.DecodeRow"/>.</summary>
    public static WeightLayout Decoded { get; } = new("decoded", null);

    /// <summary>The layout that is the file's own bytes of <paramref name="type"/>.</summary>
    public static WeightLayout Of(TensorType type) => new(type.Name, type);

    /// <summary>A layout of its own that <paramref name="pack"/> makes of tensors of <paramref name="type"/> at load.</summary>
    public static WeightLayout Packed(string name, TensorType type, Func<Tensor, WorkerPool, WeightArena?, NativeBuffer<byte>> pack) => new(name, type, pack);

    /// <summary>The weights in this layout, or null when it is what the file holds.</summary>
    public NativeBuffer<byte>? Pack(Tensor tensor, WorkerPool pool, WeightArena? arena = null) => _pack?.Invoke(tensor, pool, arena);
}
