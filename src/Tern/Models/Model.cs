using Tern.Files;
using Tern.Kernels;
using Tern.Machine;
using Tern.Models.Architectures;
using Tern.Models.Checkpoints;
using Tern.Text;

namespace Tern.Models;

/// <summary>How to load a model.</summary>
internal sealed record ModelOptions
{
    /// <summary>Worker threads; 0 means one per physical core that this process may use.</summary>
    public int Threads { get; init; }

    public KernelChoice Kernels { get; init; } = KernelChoice.Best;

    public I2sLayout I2sLayout { get; init; } = I2sLayout.Canonical;

    /// <summary>What the scales of packed weights in a Hugging Face checkpoint mean.</summary>
    public WeightScale WeightScale { get; init; }

    /// <summary>Overrides <c>tokenizer.ggml.pre</c>.</summary>
    public string? PreTokenizer { get; init; }

    /// <summary>Block types (Q8_0 …) with float activations, the plain definition.</summary>
    public bool FloatActivations { get; init; }

    /// <summary>Choose among the kernel rows by a short measurement, which is remembered; off is the order of the table.</summary>
    public bool Tune { get; init; }

    /// <summary>How the output matrix is computed.</summary>
    public HeadMode Head { get; init; }

    /// <summary>Receives the share of the weights that is ready, in [0, 1].</summary>
    public Action<double>? Progress { get; init; }

    public CancellationToken CancellationToken { get; init; }
}

/// <summary>A loaded model: what the file says, its tokenizer, and weights in their working layout. Immutable and shared.</summary>
internal sealed class Model : IDisposable
{
    private readonly ModelSource _file;

    private Model(ModelSource file, ModelSpec spec, Tokenizer tokenizer, KernelChoice kernels, WorkerPool pool, ModelWeights weights, IReadOnlyList<string> warnings)
    {
        _file = file;
        Spec = spec;
        Tokenizer = tokenizer;
        Kernels = kernels;
        Pool = pool;
        Weights = weights;
        Warnings = warnings;
    }

    public ModelSpec Spec { get; }

    public Metadata Metadata => _file.Metadata;

    public Tokenizer Tokenizer { get; }

    public KernelChoice Kernels { get; }

    public WorkerPool Pool { get; }

    public ModelWeights Weights { get; }

    /// <summary>One line each: what was assumed or repaired.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>
    /// Opens the files of a model without loading it: a GGUF file, the first part of a split one, or a Hugging Face checkpoint, by its folder or
    /// a file in it.
    /// </summary>
    /// <exception cref="TernException">Missing, malformed or unsupported file.</exception>
    public static ModelSource Open(string path, ModelOptions options) =>
        CheckpointFolder.Of(path) is { } folder ? Checkpoint.Open(folder, options.WeightScale, options.PreTokenizer) : GgufFile.Open(path, options.I2sLayout);

    /// <summary>Loads a model.</summary>
    /// <exception cref="TernException">Missing, malformed or unsupported file.</exception>
    /// <exception cref="OperationCanceledException">The token of the options was cancelled.</exception>
    public static Model Load(string path, ModelOptions options)
    {
        ModelSource file = Open(path, options);
        WorkerPool? pool = null;
        try
        {
            var warnings = new List<string>(file.Warnings);
            ModelSpec spec = ReadSpec(file, warnings.Add);
            Tokenizer tokenizer = Tokenizer.From(file.Metadata, warnings.Add, options.PreTokenizer);
            pool = new WorkerPool(options.Threads > 0 ? options.Threads : Cpu.ComputeThreads);
            ModelWeights weights = ModelWeights.Bind(spec, file, options, pool, warnings.Add);
            return new Model(file, spec, tokenizer, options.Kernels, pool, weights, warnings);
        }
        catch
        {
            pool?.Dispose();
            file.Dispose();
            throw;
        }
    }

    /// <summary>What the metadata of a file say of the model.</summary>
    /// <exception cref="TernException">Unknown architecture (the supported ones are listed), or keys that are missing or out of range.</exception>
    public static ModelSpec ReadSpec(ModelSource file, Action<string> warn)
    {
        const string key = "general.architecture";
        string name = file.Metadata.String(key) ?? throw file.Metadata.Missing(key, "the file does not say what model it holds");
        Architecture architecture = Architecture.All.FirstOrDefault(a => a.Name == name)
            ?? throw FileError.At(ErrorKind.Unsupported, file.Metadata.Path, file.Metadata.Find(key)!.Offset, $"key '{key}'", $"architecture {FileError.Quote(name)} is not supported", $"supported are {string.Join(", ", Architecture.All.Select(a => a.Name))}");
        return architecture.Read(new SpecReader(name, file.Metadata, file.Tensors, warn));
    }

    public void Dispose()
    {
        Weights.Dispose();
        Pool.Dispose();
        _file.Dispose();
    }
}
