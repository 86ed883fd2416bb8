using Tern.Kernels;
using Tern.Machine;

namespace Tern.Models;

/// <summary>Memory for the keys and values of <see cref="PageCount"/> pages in all layers: [layer][page][head].</summary>
internal sealed class KvCache : IDisposable
{
    private readonly NativeBuffer<byte> _memory;

    /// <summary>Reserves the memory; the operating system commits it as pages are first written.</summary>
    /// <exception cref="TernException">Not enough memory.</exception>
    public KvCache(ModelSpec spec, KvType type, int pageCount)
    {
        Pages = new KvPages(type, spec.KvHeads, spec.HeadDim);
        PageCount = pageCount;
        _memory = new NativeBuffer<byte>(checked(Pages.LayerPageBytes * pageCount * spec.Layers));
    }

    public KvPages Pages { get; }

    public int PageCount { get; }

    /// <summary>The memory of all pages of all layers.</summary>
    public NativeBuffer<byte> Memory => _memory;

    /// <summary>Bytes of one page in all layers.</summary>
    public static long PageBytes(ModelSpec spec, KvType type) => new KvPages(type, spec.KvHeads, spec.HeadDim).LayerPageBytes * spec.Layers;

    public void Dispose() => _memory.Dispose();
}
