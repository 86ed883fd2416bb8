namespace Tern.Machine;

/// <summary>
/// Memory for many weight matrices one behind the other, so that all of it can be in huge pages: alone, most matrices of a small model end
/// inside their second one. One thread takes from it; what was taken lives as long as the arena.
/// </summary>
internal sealed unsafe class WeightArena : IDisposable
{
    /// <summary>Memory is asked for in pieces of this size; what is not used of the last one is never touched.</summary>
    private const long BlockBytes = 256L << 20;

    private const int CacheLine = 64;

    private readonly List<NativeBuffer<byte>> _blocks = [];
    private long _used;

    /// <summary>Zeroed memory, aligned to a cache line, of an arena or, without one, of its own.</summary>
    /// <param name="arena">Where from; null for a buffer of its own.</param>
    /// <param name="byteCount">How much.</param>
    /// <exception cref="TernException">Not enough memory.</exception>
    public static NativeBuffer<byte> Take(WeightArena? arena, long byteCount) => arena is null ? new NativeBuffer<byte>(byteCount) : arena.Take(byteCount);

    public void Dispose()
    {
        foreach (NativeBuffer<byte> block in _blocks)
            block.Dispose();
        _blocks.Clear();
    }

    private NativeBuffer<byte> Take(long byteCount)
    {
        if (_blocks.Count == 0 || byteCount > _blocks[^1].Count - _used)
        {
            _blocks.Add(new NativeBuffer<byte>(Math.Max(BlockBytes, byteCount)));
            _used = 0;
        }

        NativeBuffer<byte> taken = NativeBuffer<byte>.Within(_blocks[^1], _used, byteCount);
        _used += (byteCount + CacheLine - 1) / CacheLine * CacheLine;
        _used = Math.Min(_used, _blocks[^1].Count);
        return taken;
    }
}
