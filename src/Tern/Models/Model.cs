using Tern.Files;
using Tern.Kernels;
using Tern.Machine;
using Tern.Text;

namespace Tern.Models;

/// <summary>How to load a model.</summary>
internal sealed record ModelOptions
{
    /// <summary>Worker threads; 0 means one per physical core, as far as the process may use them.</summary>
    public int Threads { get; init; }

    public KernelChoice Kernels { get; init; } = KernelChoice.Best;

    public I2sLayout I2sLayout { get; init; } = I2sLayout.Canonical;

    /// <summary>Overrides <c>tokenizer.ggml.pre</c>.</summary>
    public string? PreTokenizer { get; init; }

    /// <summary>Block types (Q8_0 …) with float activations, the plain definition.</summary>
    public bool FloatActivations { get; init; }
}

/// <summary>A loaded model: what the file says, its tokenizer, and weights in their working layout. Immutable and shared.</summary>
internal sealed class Model : IDisposable
{
    public required ModelSpec Spec { get; init; }

    public required Metadata Metadata { get; init; }

    public required Tokenizer Tokenizer { get; init; }

    public required WorkerPool Pool { get; init; }

    /// <summary>One line each: what was assumed or repaired.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Opens a model file.</summary>
    /// <exception cref="TernException">Missing, malformed or unsupported file.</exception>
    public static Model Load(string path, ModelOptions options) => throw new NotSupportedException();

    public void Dispose()
    {
    }
}
