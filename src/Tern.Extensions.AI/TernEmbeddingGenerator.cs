using Microsoft.Extensions.AI;

namespace Tern.Extensions.AI;

/// <summary>Embeddings of texts from an embedding model on this computer, each L2 normalised.</summary>
public sealed class TernEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly LanguageModel _model;
    private readonly bool _ownsModel;
    private readonly EmbeddingGeneratorMetadata _metadata;

    /// <summary>A generator over an embedding model.</summary>
    /// <param name="model">The model; many generators may share one.</param>
    /// <param name="modelId">The name that embeddings carry; null for the architecture.</param>
    /// <param name="ownsModel">Whether disposing the generator disposes the model; by default it does not.</param>
    public TernEmbeddingGenerator(LanguageModel model, string? modelId = null, bool ownsModel = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _ownsModel = ownsModel;
        _metadata = new EmbeddingGeneratorMetadata("tern", null, modelId ?? model.Architecture);
    }

    /// <inheritdoc/>
    /// <exception cref="TernException">The model is not an embedding model, a text is too long, or other dimensions are asked for than it has.</exception>
    public async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<string> values,
        EmbeddingGenerationOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        var embeddings = new GeneratedEmbeddings<Embedding<float>>();
        foreach (string value in values)
        {
            float[] vector = await _model.EmbedAsync(value, cancellationToken);
            if (options?.Dimensions is { } dimensions && dimensions != vector.Length)
                throw new TernException(ErrorKind.Request, $"EmbeddingGenerationOptions.Dimensions is {dimensions}, but the model gives {vector.Length}; leave it empty");
            embeddings.Add(new Embedding<float>(vector) { CreatedAt = DateTimeOffset.UtcNow, ModelId = _metadata.DefaultModelId });
        }

        return embeddings;
    }

    /// <summary>Gives the metadata, the model, or the generator itself.</summary>
    /// <param name="serviceType">What is asked for.</param>
    /// <param name="serviceKey">Only null finds something.</param>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null)
            return null;
        if (serviceType == typeof(EmbeddingGeneratorMetadata))
            return _metadata;
        if (serviceType == typeof(LanguageModel))
            return _model;
        return serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Disposes the model when the generator owns it; otherwise nothing is to be freed.</summary>
    public void Dispose()
    {
        if (_ownsModel)
            _model.Dispose();
    }
}
