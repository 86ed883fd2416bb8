using Tern.Conversion;
using Tern.Kernels;
using Tern.Measure;
using Tern.Models;
using Tern.Numerics;
using Tern.Tests.Files;

namespace Tern.Tests.Measure;

public sealed class TokenCostTests : IDisposable
{
    private const int Hidden = 256, Wide = 512, Vocabulary = 600, Layers = 2;

    private static readonly DummyGeometry s_geometry = new("small", "bitnet-b1.58", Hidden, Wide, Layers, 4, 2, 64, Vocabulary, 128, 10_000);

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_step_reads_the_weights_once_and_the_context_of_each_sequence()
    {
        using Model model = Load();
        const double weights = Layers * ((Hidden * Hidden * 2) + (Hidden * 128 * 2) + (3 * Hidden * Wide)), head = Vocabulary * Hidden;

        // Two bits a weight and a float32 scale a row; f16 keys and values of two heads of 64 in two layers.
        double rows = Layers * ((Hidden * 2) + (128 * 2) + (Wide * 2) + Hidden);
        double bytes = (weights / 4) + (4 * rows) + (2 * head), perPosition = Layers * 2 * 2 * 64 * 2;
        TokenCost one = TokenCost.Of(model, KvType.F16, new BenchmarkTest(false, 1, 32, 1));
        Assert.Equal(bytes + (32 * perPosition), one.Bytes, 1e-3);
        Assert.Equal(2 * (weights + head), one.Operations, 1e-3);

        TokenCost four = TokenCost.Of(model, KvType.F16, new BenchmarkTest(false, 1, 32, 4));
        Assert.Equal((bytes / 4) + (32 * perPosition), four.Bytes, 1e-3);
        Assert.Equal(one.Operations, four.Operations);

        TokenCost prompt = TokenCost.Of(model, KvType.F16, new BenchmarkTest(true, 16, 32, 1));
        Assert.Equal((bytes + (32 * perPosition)) / 16, prompt.Bytes, 1e-3);
        Assert.Equal(2 * (weights + (head / 16)), prompt.Operations, 1e-3);
    }

    [Fact]
    public void Every_test_runs_at_every_depth_and_number_of_sequences()
    {
        using Model model = Load();
        BenchmarkTest[] tests = [new(true, 40, 0, 1), new(false, 2, 0, 1), new(false, 2, 40, 3), new(true, 8, 70, 1), new(false, 2, 70, 2)];
        double done = 0;
        using (var benchmark = new ModelBenchmark(model, tests, KvType.F16, energy: null))
        {
            foreach (BenchmarkTest test in tests)
            {
                BenchmarkFigure figure = benchmark.Run(test, 2, work => done += work, CancellationToken.None);
                Assert.InRange(figure.Speed.Median, figure.Speed.Minimum, figure.Speed.Maximum);
                Assert.True(figure.Speed.Minimum > 0);
                Assert.Null(figure.JoulesPerToken);
            }
        }

        Assert.InRange(done, 1, ModelBenchmark.Work(tests, 2));
    }

    [Fact]
    public void More_sequences_than_memory_holds_are_refused()
    {
        using Model model = Load();
        TernException e = Assert.Throws<TernException>(() => new ModelBenchmark(model, [new(false, 1, 1 << 20, 256)], KvType.F32, energy: null));
        Assert.Equal(ErrorKind.Limit, e.Kind);
        Assert.Contains("256 sequences", e.Message, StringComparison.Ordinal);
    }

    private Model Load()
    {
        string path = _folder.File("model.gguf");
        DummyModel.Write(path, new DummyOptions(s_geometry, TensorType.TQ2_0, TensorType.F16, 1), _ => { }, CancellationToken.None);
        return Model.Load(path, new ModelOptions { Threads = 1, Kernels = KernelChoice.Parse("scalar") });
    }
}
