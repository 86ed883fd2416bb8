using Tern.Numerics;

namespace Tern.Files;

/// <summary>How bytes of type id 36 are arranged; no header tells them apart.</summary>
internal enum I2sLayout
{
    /// <summary>Blocks of 128 weights in 32 bytes: every published file.</summary>
    Canonical,

    /// <summary>Blocks of 64 weights in 16 bytes: files quantized on ARM since November 2025.</summary>
    Arm,

    /// <summary>Four rows interleaved: x86 builds without ACT_PARALLEL.</summary>
    FourRow,
}

/// <summary>A GGUF file, or all parts of a split one, opened and checked: metadata and mapped tensors.</summary>
internal sealed class GgufFile : IDisposable
{
    public required Metadata Metadata { get; init; }

    /// <summary>Tensors by name.</summary>
    public required IReadOnlyDictionary<string, Tensor> Tensors { get; init; }

    /// <summary>Things worth one line to the user that did not stop the load.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Opens a file; for <c>…-00001-of-0000N.gguf</c> all its parts.</summary>
    /// <exception cref="TernException">The file is missing, malformed or unsupported; the message names offset and field.</exception>
    public static GgufFile Open(string path, I2sLayout layout = I2sLayout.Canonical) => throw new NotSupportedException();

    public void Dispose()
    {
    }
}
