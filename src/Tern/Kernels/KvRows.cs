using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Tern.Kernels;

/// <summary>How the 32 numbers of a row of a square become floats, and the scales of a square: see <see cref="KvPages"/>.</summary>
internal unsafe interface IKvRows
{
    /// <summary>Whether a square begins with one scale per position; the numbers are whole codes then.</summary>
    static abstract bool IsScaled { get; }

    /// <summary>Bytes of a row.</summary>
    static abstract int RowBytes { get; }

    /// <summary>Bytes of the scales of a square.</summary>
    static abstract int ScaleBytes { get; }

    /// <summary>Numbers 0..15 of a row.</summary>
    static abstract TLanes First<TLanes>(byte* row)
        where TLanes : unmanaged, ILanes<TLanes>;

    /// <summary>Numbers 16..31 of a row.</summary>
    static abstract TLanes Second<TLanes>(byte* row)
        where TLanes : unmanaged, ILanes<TLanes>;

    /// <summary>Sixteen scales of a square from position <paramref name="first"/>.</summary>
    static abstract TLanes Scales<TLanes>(byte* square, int first)
        where TLanes : unmanaged, ILanes<TLanes>;
}

/// <summary>The rows of each <see cref="KvType"/>, and those of a tile that was expanded to floats.</summary>
internal static unsafe class KvRows
{
    /// <summary>Brings a line of memory near before it is read; does nothing where no instruction says so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }

    /// <summary>float32.</summary>
    public readonly struct F32 : IKvRows
    {
        public static bool IsScaled
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => false;
        }

        public static int RowBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens * sizeof(float);
        }

        public static int ScaleBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => 0;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes First<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Second<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)row + Lanes.Count);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Scales<TLanes>(byte* square, int first)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Broadcast(1f);
    }

    /// <summary>binary16 in pairs.</summary>
    public readonly struct F16 : IKvRows
    {
        public static bool IsScaled
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => false;
        }

        public static int RowBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens * sizeof(ushort);
        }

        public static int ScaleBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => 0;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes First<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadLowHalves(row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Second<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadHighHalves(row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Scales<TLanes>(byte* square, int first)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Broadcast(1f);
    }

    /// <summary>int8 codes under binary16 scales.</summary>
    public readonly struct Q8_0 : IKvRows
    {
        public static bool IsScaled
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => true;
        }

        public static int RowBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens;
        }

        public static int ScaleBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens * sizeof(ushort);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes First<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadBytes(row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Second<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadBytes(row + Lanes.Count);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Scales<TLanes>(byte* square, int first)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadHalf((ushort*)square + first);
    }

    /// <summary>Codes of four bits in pairs under binary16 scales.</summary>
    public readonly struct Q4_0 : IKvRows
    {
        public static bool IsScaled
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => true;
        }

        public static int RowBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens / 2;
        }

        public static int ScaleBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens * sizeof(ushort);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes First<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadLowNibbles(row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Second<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadHighNibbles(row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Scales<TLanes>(byte* square, int first)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.LoadHalf((ushort*)square + first);
    }

    /// <summary>Codes and scales of a quantized tile, expanded to float32 once for many queries.</summary>
    public readonly struct ScaledF32 : IKvRows
    {
        public static bool IsScaled
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => true;
        }

        public static int RowBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens * sizeof(float);
        }

        public static int ScaleBytes
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => KvPages.PageTokens * sizeof(float);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes First<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)row);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Second<TLanes>(byte* row)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)row + Lanes.Count);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Scales<TLanes>(byte* square, int first)
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Load((float*)square + first);
    }
}
