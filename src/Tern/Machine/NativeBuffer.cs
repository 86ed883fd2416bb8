using System.Runtime.InteropServices;

namespace Tern.Machine;

/// <summary>Memory outside the garbage collector's heap, aligned to a cache line and zeroed, for weights, caches and workspaces.</summary>
/// <typeparam name="T">The element type.</typeparam>
internal sealed unsafe class NativeBuffer<T> : IDisposable
    where T : unmanaged
{
    private const int CacheLine = 64;

    /// <summary>Allocates <paramref name="count"/> zeroed elements, with a cache line of slack behind them.</summary>
    /// <exception cref="TernException">Not enough memory.</exception>
    public NativeBuffer(long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        Count = count;
        nuint byteCount = checked((nuint)count * (nuint)sizeof(T) + CacheLine);
        try
        {
            Pointer = (T*)NativeMemory.AlignedAlloc(byteCount, byteCount < HugePages.WorthBytes ? CacheLine : HugePages.PageBytes);
        }
        catch (OutOfMemoryException e)
        {
            throw new TernException(ErrorKind.Limit, $"not enough memory for {byteCount >> 20} MiB", e);
        }

        if (byteCount >= HugePages.WorthBytes)
            HugePages.Advise(Pointer, byteCount);
        NativeMemory.Clear(Pointer, byteCount);
        GC.AddMemoryPressure((long)byteCount);
    }

    ~NativeBuffer() => Free();

    /// <summary>The number of elements.</summary>
    public long Count { get; }

    /// <summary>The first element; valid until <see cref="Dispose"/>.</summary>
    public T* Pointer { get; private set; }

    /// <summary>All elements; only for buffers of less than 2^31 elements.</summary>
    public Span<T> Span => new(Pointer, checked((int)Count));

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (Pointer is null)
            return;

        NativeMemory.AlignedFree(Pointer);
        Pointer = null;
        GC.RemoveMemoryPressure(Count * sizeof(T) + CacheLine);
    }
}
