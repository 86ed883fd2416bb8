using System.Runtime.InteropServices;
using Tern.Generation;
using Tern.Generation.Sampling;
using Tern.Kernels;
using Tern.Models;

namespace Tern.Tests.Models;

/// <summary>The story model, full and screened side by side: the same tokens, whatever the sampler.</summary>
public sealed class ScreenedModelTests
{
    private const int Context = 256;

    private static readonly GenerationOptions[] s_options =
    [
        new() { Temperature = 0 },
        new(),
        new() { Temperature = 0, RepeatPenalty = 1.3f },
        new() { TopK = 0, TopP = 1, MinP = 0.1f, Temperature = 1 },
        new() { TopK = 100, TopP = 0.9f, MinP = 0, Temperature = 1.2f, FrequencyPenalty = 0.3f, DryMultiplier = 0.8f },
        new() { TopK = 20, TopP = 1, MinP = 0, TypicalP = 0.8f, XtcProbability = 0.3f, LogitBias = new Dictionary<int, float> { [261] = 3, [44] = float.NegativeInfinity } },
    ];

    [Fact]
    public void Stories_are_the_same_token_by_token()
    {
        HeadCounts counts = Tell(10_200);
        Assert.Equal(10_200, counts.Tokens + counts.Widened);
        Assert.True(counts.Tokens > 10_100, $"{counts}");
    }

    /// <summary>Generates with both heads in step and compares every token; gives what the screened one read.</summary>
    internal static HeadCounts Tell(int tokens)
    {
        string path = Path.Combine(Repository.Root, "src", "Tern.Cli", "models", "storyteller.gguf");
        using var screened = new Teller(path, HeadMode.Screened);
        using var full = new Teller(path, HeadMode.Full);
        for (int step = 0; step * s_options.Length < tokens; step++)
        {
            int[] expected = full.Step();
            Assert.Equal(expected, screened.Step());
        }

        return screened.Counts;
    }

    /// <summary>One story per set of options, all in one batch; where the context ends a new story begins with the last words of the old.</summary>
    private sealed class Teller : IDisposable
    {
        private const int PagesEach = Context / KvPages.PageTokens;

        private readonly Model _model;
        private readonly KvCache _cache;
        private readonly Transformer _transformer;
        private readonly Batch _batch = new(Context, s_options.Length);
        private readonly Sampler[] _samplers;
        private readonly List<int>[] _stories;
        private readonly int[] _computed = new int[s_options.Length];
        private readonly float[] _output;
        private readonly Candidates _candidates;

        public Teller(string path, HeadMode head)
        {
            _model = Model.Load(path, new ModelOptions { Head = head, Threads = 2 });
            _cache = new KvCache(_model.Spec, KvType.F16, PagesEach * s_options.Length);
            _transformer = new Transformer(_model, _cache, Context, s_options.Length, Context);
            int vocabulary = _model.Spec.VocabularySize;
            var table = TokenTable.From(_model.Tokenizer, vocabulary);
            _samplers = [.. s_options.Select((o, i) => Sampler.From(o, (ulong)i, table, Context))];
            _stories = [.. s_options.Select((_, i) => new List<int> { 256, 79 + i, 1948, 576, 259 + i })];
            _output = new float[s_options.Length * vocabulary];
            _candidates = new Candidates(vocabulary);
        }

        public HeadCounts Counts => _transformer.HeadCounts;

        public int[] Step()
        {
            _batch.Clear();
            for (int i = 0; i < _stories.Length; i++)
            {
                if (_stories[i].Count == Context)
                    (_stories[i], _computed[i]) = ([256, .. _stories[i][^8..]], 0);
                ReadOnlySpan<int> story = CollectionsMarshal.AsSpan(_stories[i]);
                int[] pages = [.. Enumerable.Range(i * PagesEach, PagesEach)];
                _batch.Add(pages, _computed[i], story[_computed[i]..], LogitRows.Last, _samplers[i].Demand(story));
                _computed[i] = story.Length;
            }

            _transformer.Forward(_batch, _output);
            int[] next = new int[_stories.Length];
            int vocabulary = _model.Spec.VocabularySize;
            for (int i = 0; i < next.Length; i++)
            {
                next[i] = _samplers[i].Next(_output.AsSpan(i * vocabulary, vocabulary), CollectionsMarshal.AsSpan(_stories[i]), _candidates);
                _stories[i].Add(next[i]);
            }

            return next;
        }

        public void Dispose()
        {
            _transformer.Dispose();
            _cache.Dispose();
            _model.Dispose();
        }
    }
}
