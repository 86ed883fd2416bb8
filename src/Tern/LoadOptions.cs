namespace Tern;

/// <summary>How bytes of type id 36 are arranged; no header tells them apart.</summary>
public enum I2sLayout
{
    /// <summary>Blocks of 128 weights in 32 bytes: every published file.</summary>
    Canonical,

    /// <summary>Blocks of 64 weights in 16 bytes: files quantized on ARM since November 2025.</summary>
    Arm,

    /// <summary>Four rows interleaved: x86 builds without ACT_PARALLEL.</summary>
    FourRow,
}

/// <summary>How keys and values of the context are kept; docs/kv-cache.md has what each costs in quality.</summary>
public enum KvPrecision
{
    /// <summary>16-bit floats.</summary>
    F16,

    /// <summary>32-bit floats: twice the memory.</summary>
    F32,

    /// <summary>8-bit codes with a scale per 32: 53 % of the memory of F16.</summary>
    Q8_0,

    /// <summary>4-bit codes with a scale per 32: 28 % of the memory of F16, for contexts that do not fit otherwise.</summary>
    Q4_0,
}

/// <summary>How the output matrix is computed. The tokens are the same.</summary>
public enum HeadMode
{
    /// <summary>Screened where a short measurement at load says that it pays.</summary>
    Auto,

    /// <summary>Every row for every token.</summary>
    Full,

    /// <summary>In planes of 4 bits first, and the original rows only where they can matter; takes a byte of memory per weight.</summary>
    Screened,
}

/// <summary>How to load a model.</summary>
public sealed record LoadOptions
{
    /// <summary>Worker threads; 0 means one per core that the process may use.</summary>
    public int Threads { get; init; }

    /// <summary>Most tokens of prompt and answer together; 0 means what the model was trained for, at most 4096.</summary>
    public int ContextLength { get; init; }

    /// <summary>A kernel family or row, such as <c>scalar</c> or <c>avx2</c>; null means the best for this processor, or TERN_KERNEL.</summary>
    public string? Kernel { get; init; }

    /// <summary>
    /// Find the fastest kernels by a short measurement at the first load of a model on this machine; later loads remember it (in the user's
    /// cache folder, or TERN_CACHE). Every choice gives the same answers.
    /// </summary>
    public bool Tune { get; init; } = true;

    /// <summary>How the bytes of I2_S tensors are arranged: files quantized by some builds of bitnet.cpp differ, and none says so.</summary>
    public I2sLayout I2sLayout { get; init; }

    /// <summary>The pre-tokenizer to use instead of the one that the file names, such as <c>llama-bpe</c>; null means the file's.</summary>
    public string? PreTokenizer { get; init; }

    /// <summary>Compute block types (Q8_0, Q4_0, Q1_0 …) with float activations, the plain definition, instead of int8 per 32 as their ecosystem does.</summary>
    public bool FloatActivations { get; init; }

    /// <summary>How keys and values of the context are kept.</summary>
    public KvPrecision KvCache { get; init; }

    /// <summary>How the output matrix is computed; the tokens are the same.</summary>
    public HeadMode Head { get; init; }

    /// <summary>Requests that may run at the same time and share the model; each has memory for a whole context.</summary>
    public int ParallelRequests { get; init; } = 4;

    /// <summary>Requests that may wait for their turn; one more is refused.</summary>
    public int QueuedRequests { get; init; } = 64;

    /// <summary>Refuses what no model can have.</summary>
    /// <exception cref="TernException">An option is out of its range.</exception>
    internal void Validate()
    {
        OptionRange.Range(nameof(Threads), Threads, 0, 1024);
        OptionRange.Range(nameof(ContextLength), ContextLength, 0, 1 << 20);
        OptionRange.Range(nameof(KvCache), (int)KvCache, (int)KvPrecision.F16, (int)KvPrecision.Q4_0);
        OptionRange.Range(nameof(ParallelRequests), ParallelRequests, 1, 256);
        OptionRange.Range(nameof(QueuedRequests), QueuedRequests, 0, 65536);
    }
}
