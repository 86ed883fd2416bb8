using Tern.Generation;
using Tern.Kernels;
using Tern.Models;
using Tern.Text.Templates;

namespace Tern;

/// <summary>A language model on this computer's processor: load it, ask it, stream the answer. Safe for use by many threads.</summary>
public sealed class LanguageModel : IDisposable
{
    /// <summary>The context when the caller names none; trained lengths of 100,000 and more would take all memory.</summary>
    private const int DefaultContextMax = 4096;

    /// <summary>Most tokens in one forward pass: large enough to use the weights well, small enough to cancel within a moment.</summary>
    private const int BatchTokens = 256;

    private readonly Model _model;
    private readonly KvCache _cache;
    private readonly Transformer _transformer;
    private readonly Engine _engine;
    private readonly ChatTemplate? _template;
    private bool _disposed;

    private LanguageModel(Model model, LoadOptions options)
    {
        var warnings = new List<string>(model.Warnings);
        ContextLength = options.ContextLength > 0 ? options.ContextLength : Math.Min(model.Spec.ContextLength, DefaultContextMax);
        if (ContextLength > model.Spec.ContextLength)
            warnings.Add($"the context of {ContextLength} tokens is longer than the {model.Spec.ContextLength} that the model was trained for");

        // Every request that runs has room for a whole context, so that running ones need not push each other out.
        int pages = Sequence.PagesFor(ContextLength) * options.ParallelRequests;
        int batchTokens = Math.Max(BatchTokens, options.ParallelRequests);
        _model = model;
        _template = ChatTemplate.From(model.Metadata, model.Tokenizer, warnings.Add);
        _cache = new KvCache(model.Spec, TypeOf(options.KvCache), pages);
        _transformer = new Transformer(model, _cache, batchTokens, options.ParallelRequests, ContextLength);
        _engine = new Engine(_transformer.Forward, TokenTable.From(model.Tokenizer, model.Spec.VocabularySize), new EngineLimits
        {
            ContextLength = ContextLength,
            Pages = pages,
            ParallelRequests = options.ParallelRequests,
            QueuedRequests = options.QueuedRequests,
            BatchTokens = batchTokens,
            OutputWidth = model.Spec.OutputSize,
        });
        Warnings = warnings;
    }

    /// <summary>One line each: what was assumed or repaired at load.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>The architecture as the file names it, such as <c>bitnet-b1.58</c>.</summary>
    public string Architecture => _model.Spec.Architecture;

    /// <summary>Most tokens of a prompt and its answer.</summary>
    public int ContextLength { get; }

    /// <summary>Number of tokens that the model knows.</summary>
    public int VocabularySize => _model.Spec.VocabularySize;

    /// <summary>Whether the file says how a chat is written, so that <see cref="ChatAsync"/> works.</summary>
    public bool HasChatTemplate => _template is not null;

    /// <summary>Whether the model gives embeddings instead of text.</summary>
    public bool IsEmbedding => _model.Spec.IsEmbedding;

    /// <summary>What the engine has done and holds.</summary>
    public EngineStatistics Statistics => _engine.Statistics;

    /// <summary>
    /// Loads a model file. Memory for keys and values is taken here, for <see cref="LoadOptions.ParallelRequests"/> whole contexts, in pages
    /// of 32 tokens; after that, generating takes none.
    /// </summary>
    /// <param name="path">A GGUF file (of a split one, the first part).</param>
    /// <param name="options">How to load it.</param>
    /// <exception cref="TernException">Missing, malformed or unsupported file, or an option out of its range.</exception>
    public static LanguageModel Load(string path, LoadOptions? options = null)
    {
        options ??= new LoadOptions();
        return Load(path, options, new ModelOptions
        {
            Threads = options.Threads,
            Kernels = KernelChoice.Parse(options.Kernel),
            I2sLayout = options.I2sLayout,
            PreTokenizer = options.PreTokenizer,
            FloatActivations = options.FloatActivations,
            Tune = options.Tune,
            Head = options.Head,
        });
    }

    /// <summary>Loads a model file with options of the engine's own, such as progress and cancellation.</summary>
    internal static LanguageModel Load(string path, LoadOptions options, ModelOptions modelOptions)
    {
        options.Validate();
        var model = Model.Load(path, modelOptions);
        try
        {
            return new LanguageModel(model, options);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Continues a text.</summary>
    /// <param name="prompt">The text; control tokens in it are read as plain characters.</param>
    /// <param name="options">How to generate.</param>
    /// <param name="cancellationToken">Ends the request within one step.</param>
    /// <returns>The answer, made when it is enumerated; leaving the enumeration early ends the request.</returns>
    /// <exception cref="TernException">An option is out of its range, the prompt is too long, or too many requests wait.</exception>
    public IAsyncEnumerable<Chunk> CompleteAsync(string prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return Generate(_model.Tokenizer.Encode(prompt), options, cancellationToken);
    }

    /// <summary>Answers a chat, with the model's own template.</summary>
    /// <param name="messages">The chat so far.</param>
    /// <param name="options">How to generate.</param>
    /// <param name="cancellationToken">Ends the request within one step.</param>
    /// <returns>The answer, made when it is enumerated; leaving the enumeration early ends the request.</returns>
    /// <exception cref="TernException">The model has no chat template or it refuses the chat; else as <see cref="CompleteAsync"/>.</exception>
    public IAsyncEnumerable<Chunk> ChatAsync(IReadOnlyList<Message> messages, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (_template is null)
            throw new TernException(ErrorKind.Request, "the model has no chat template; use CompleteAsync with the text that it expects");
        string prompt = _template.Render(messages);

        // The template wrote the control tokens, the one that begins a text included.
        return Generate(_model.Tokenizer.Encode(prompt, addSpecial: false, parseSpecial: true), options, cancellationToken);
    }

    /// <summary>The embedding of a text, L2 normalised. Only embedding models have one.</summary>
    /// <param name="text">The text.</param>
    /// <param name="cancellationToken">Ends the request within one step.</param>
    /// <exception cref="TernException">The model is not an embedding model, the text is too long, or too many requests wait.</exception>
    public Task<float[]> EmbedAsync(string text, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!IsEmbedding)
            throw new TernException(ErrorKind.Request, $"the model ({Architecture}) writes text; EmbedAsync needs an embedding model");
        int[] ids = _model.Tokenizer.Encode(text);
        int eos = _model.Tokenizer.Eos;

        // The last token's state is the embedding, and these models are trained to put it on the end-of-sequence token.
        if (eos >= 0 && (ids.Length == 0 || ids[^1] != eos))
            ids = [.. ids, eos];
        return _engine.EmbedAsync(ids, cancellationToken);
    }

    /// <summary>Token ids of a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecial">Add begin and end tokens where the model wants them.</param>
    public IReadOnlyList<int> Tokenize(string text, bool addSpecial = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        return _model.Tokenizer.Encode(text, addSpecial);
    }

    /// <summary>Text of token ids.</summary>
    /// <param name="tokens">Ids.</param>
    /// <exception cref="TernException">An id is not in the vocabulary.</exception>
    public string Detokenize(IReadOnlyList<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        int count = _model.Tokenizer.Count;
        foreach (int id in tokens)
            if (id < 0 || id >= count)
                throw new TernException(ErrorKind.Request, $"token {id} is not in the vocabulary, must be in [0, {count - 1}]");
        return _model.Tokenizer.Decode(tokens.ToArray());
    }

    /// <summary>Ends all requests and frees the memory.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _engine.Dispose();
        _transformer.Dispose();
        _cache.Dispose();
        _model.Dispose();
    }

    private static KvType TypeOf(KvPrecision precision) => precision switch
    {
        KvPrecision.F32 => KvType.F32,
        KvPrecision.Q8_0 => KvType.Q8_0,
        KvPrecision.Q4_0 => KvType.Q4_0,
        _ => KvType.F16,
    };

    private IAsyncEnumerable<Chunk> Generate(int[] prompt, GenerationOptions? options, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (IsEmbedding)
            throw new TernException(ErrorKind.Request, $"the model ({Architecture}) gives embeddings, not text; use EmbedAsync ('tern embed')");
        options ??= new GenerationOptions();
        options.Validate(VocabularySize);
        return _engine.GenerateAsync(prompt, options, cancellationToken);
    }
}
