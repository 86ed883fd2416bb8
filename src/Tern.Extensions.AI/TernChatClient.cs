using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace Tern.Extensions.AI;

/// <summary>
/// A chat client over a model on this computer. It only translates: messages and options on the way in, chunks on the way out.
/// Function invocation, caching and telemetry are middleware of the host application.
/// </summary>
public sealed class TernChatClient : IChatClient
{
    private readonly LanguageModel _model;
    private readonly GenerationOptions _defaults;
    private readonly bool _ownsModel;
    private readonly ChatClientMetadata _metadata;

    /// <summary>A client of a model that has a chat template.</summary>
    /// <param name="model">The model; many clients may share one.</param>
    /// <param name="defaults">What applies where a call's <see cref="ChatOptions"/> say nothing; null for the engine's defaults.</param>
    /// <param name="modelId">The name that responses carry; null for the architecture.</param>
    /// <param name="ownsModel">Whether disposing the client disposes the model; by default it does not.</param>
    public TernChatClient(LanguageModel model, GenerationOptions? defaults = null, string? modelId = null, bool ownsModel = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _defaults = defaults ?? new GenerationOptions();
        _ownsModel = ownsModel;
        _metadata = new ChatClientMetadata("tern", null, modelId ?? model.Architecture);
    }

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="TernException">
    /// The chat or an option is not something that the model or Tern can do: tools and JSON formats are refused, never ignored.
    /// </exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages,
        ChatOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        GenerationOptions defaults = options?.RawRepresentationFactory?.Invoke(this) as GenerationOptions ?? _defaults;
        IAsyncEnumerable<Chunk> chunks = _model.ChatAsync(Translate.Messages(messages, options), Translate.Options(options, defaults), cancellationToken);
        return Updates(chunks, options?.ModelId ?? _metadata.DefaultModelId, cancellationToken);
    }

    /// <summary>Gives the metadata, the model, or the client itself.</summary>
    /// <param name="serviceType">What is asked for.</param>
    /// <param name="serviceKey">Only null finds something.</param>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null)
            return null;
        if (serviceType == typeof(ChatClientMetadata))
            return _metadata;
        if (serviceType == typeof(LanguageModel))
            return _model;
        return serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Disposes the model when the client owns it; otherwise nothing is to be freed.</summary>
    public void Dispose()
    {
        if (_ownsModel)
            _model.Dispose();
    }

    /// <summary>An answer's chunks as updates of one message; usage and finish reason are in the last one.</summary>
    internal static async IAsyncEnumerable<ChatResponseUpdate> Updates(
        IAsyncEnumerable<Chunk> chunks,
        string? modelId,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string id = Guid.NewGuid().ToString("N");
        DateTimeOffset createdAt = DateTimeOffset.UtcNow;
        await foreach (Chunk chunk in chunks.WithCancellation(cancellationToken))
        {
            var update = new ChatResponseUpdate(ChatRole.Assistant, chunk.Text)
            {
                ResponseId = id,
                MessageId = id,
                CreatedAt = createdAt,
                ModelId = modelId,
                FinishReason = chunk.FinishReason switch
                {
                    FinishReason.Stop => ChatFinishReason.Stop,
                    FinishReason.Length => ChatFinishReason.Length,
                    _ => null,
                },
            };
            if (chunk.Usage is { } usage)
                update.Contents.Add(new UsageContent(Translate.Usage(usage)));
            yield return update;
        }
    }
}
