using System.Runtime.InteropServices;

namespace Tern.Machine;

/// <summary>Memory outside the garbage collector's heap, aligned to a cache line and zeroed, for weights, caches and workspaces.</summary>
/// <typeparam name="T">The element type.</typeparam>
internal sealed unsafe class NativeBuffer<T> : IDisposable
    where T : unmanaged
{
    private const int CacheLine = 64;

    private readonly long _byteCount;
    private void* _block;

    /// <summary>Allocates <paramref name="count"/> zeroed elements, with a cache line of slack behind them.</summary>
    /// <exception cref="TernException">Not enough memory.</exception>
    public NativeBuffer(long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        Count = count;
        nuint used = checked((nuint)count * (nuint)sizeof(T) + CacheLine);
        nuint alignment = used < HugePages.WorthBytes ? CacheLine : HugePages.PageBytes;
        _byteCount = (long)(used + alignment);
        try
        {
            // The system hands out large zeroed blocks without touching them: a KV cache costs memory only as it fills.
            _block = NativeMemory.AllocZeroed(used + alignment);
        }
        catch (OutOfMemoryException e)
        {
            throw new TernException(ErrorKind.Limit, $"not enough memory for {used >> 20} MiB", e);
        }

        Pointer = (T*)(((nuint)_block + alignment - 1) & ~(alignment - 1));
        if (alignment == HugePages.PageBytes)
            HugePages.Advise(Pointer, used);
        GC.AddMemoryPressure(_byteCount);
    }

    private NativeBuffer(T* pointer, long count)
    {
        Pointer = pointer;
        Count = count;
    }

    ~NativeBuffer() => Free();

    /// <summary>The number of elements.</summary>
    public long Count { get; }

    /// <summary>The first element; valid until <see cref="Dispose"/>.</summary>
    public T* Pointer { get; private set; }

    /// <summary>All elements; only for buffers of less than 2^31 elements.</summary>
    public Span<T> Span => new(Pointer, checked((int)Count));

    /// <summary>Elements [<paramref name="start"/>, start + <paramref name="count"/>).</summary>
    public Span<T> Part(long start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Count - count);
        return new Span<T>(Pointer + start, count);
    }

    /// <summary>Elements [first, first + count) of a buffer, which must live longer; disposing this frees nothing.</summary>
    public static NativeBuffer<T> Within(NativeBuffer<T> whole, long first, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, whole.Count - first);
        return new NativeBuffer<T>(whole.Pointer + first, count);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_block is null)
            return;

        NativeMemory.Free(_block);
        _block = null;
        Pointer = null;
        GC.RemoveMemoryPressure(_byteCount);
    }
}
