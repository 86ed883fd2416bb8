using Tern.Numerics;

namespace Tern.Files;

/// <summary>
/// A model at rest: its metadata under the keys of GGUF and its tensors under the names of GGUF, whatever files they lie in. Everything that
/// runs, shows or writes a model works from this.
/// </summary>
internal abstract class ModelSource : IDisposable
{
    public abstract Metadata Metadata { get; }

    /// <summary>Tensors by name.</summary>
    public abstract IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <summary>The same tensors in the order of the files.</summary>
    public abstract IReadOnlyList<Tensor> TensorsInOrder { get; }

    /// <summary>Things worth one line to the user that did not stop the load.</summary>
    public abstract IReadOnlyList<string> Warnings { get; }

    /// <summary>Takes the pages of a tensor out of this process's memory: it was copied and will be read rarely. Its bytes can still be read.</summary>
    public abstract void Drop(Tensor tensor);

    /// <summary>Begins to read the pages of a tensor that is needed soon.</summary>
    public abstract void Fetch(Tensor tensor);

    public abstract void Dispose();
}
