using System.Runtime.CompilerServices;

namespace Tern.Kernels;

/// <summary>A tensor type whose weights are plain numbers: how to load them as float32. All bits zero is the number zero.</summary>
internal unsafe interface IFloatWeights
{
    /// <summary>Bytes of one weight.</summary>
    static abstract int WeightBytes { get; }

    /// <summary>Weights [column, column + 16) of a row.</summary>
    static abstract TLanes Load<TLanes>(byte* row, int column)
        where TLanes : unmanaged, ILanes<TLanes>;
}

/// <summary>Weights in float32.</summary>
internal readonly unsafe struct Float32Weights : IFloatWeights
{
    public static int WeightBytes => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(byte* row, int column)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)row + column);
}

/// <summary>Weights in IEEE binary16.</summary>
internal readonly unsafe struct HalfWeights : IFloatWeights
{
    public static int WeightBytes => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(byte* row, int column)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadHalf((ushort*)row + column);
}

/// <summary>Weights in bfloat16.</summary>
internal readonly unsafe struct BFloatWeights : IFloatWeights
{
    public static int WeightBytes => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Load<TLanes>(byte* row, int column)
        where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadBFloat((ushort*)row + column);
}
