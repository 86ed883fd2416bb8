using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tern.Machine;

/// <summary>
/// Reads memory from end to end as fast as a core can, in one or more streams side by side, as a kernel reads several rows:
/// <code>
///   4 streams:   [ →       | →       | →       | →       ]     one cache line of each in turn, asking for lines further ahead
/// </code>
/// How many streams are best differs between processors, so whoever wants a ceiling tries some.
/// </summary>
internal static unsafe class ReadLoop
{
    private const int CacheLine = 64;

    /// <summary>How far ahead of each stream lines are asked for.</summary>
    private const int AheadBytes = 2048;

    /// <summary>Reads memory whose length is a multiple of <paramref name="streams"/> cache lines, and returns a sum of it.</summary>
    public static ulong Sum(ReadOnlySpan<byte> memory, int streams)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(memory.Length % (streams * CacheLine), 0);
        fixed (byte* start = memory)
            return Sum(start, memory.Length, streams);
    }

    // One call is a whole pass, so it must be in its final form at once.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Sum(byte* start, long byteCount, int streams)
    {
        long stream = byteCount / streams;
        Vector256<ulong> a = default, b = default;
        for (long line = 0; line < stream; line += CacheLine)
        {
            byte* at = start + line;
            for (int i = 0; i < streams; i++, at += stream)
            {
                if (Sse.IsSupported)
                    Sse.Prefetch0(at + AheadBytes);
                a += Vector256.Load((ulong*)at);
                b += Vector256.Load((ulong*)(at + (CacheLine / 2)));
            }
        }

        return Vector256.Sum(a + b);
    }
}
