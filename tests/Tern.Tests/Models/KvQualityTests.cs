using System.Text;
using Tern.Kernels;
using Tern.Measure;
using Tern.Models;

namespace Tern.Tests.Models;

/// <summary>What rounding of keys and values costs stays near the figures of docs/kv-cache.md.</summary>
public sealed class KvQualityTests
{
    [SharedFact]
    public void Perplexity_rises_by_little()
    {
        using Model model = Model.Load(SharedData.File("models", "storyteller.gguf"), new ModelOptions { Threads = 1 });
        using FileStream file = File.OpenRead(SharedData.File("data", "text", "children.txt"));
        byte[] bytes = new byte[12_000];
        file.ReadExactly(bytes);
        string text = Encoding.UTF8.GetString(bytes);
        double expected = Measured(KvType.F32);

        // Windows of a short text scatter more than the 0.01 %, 0.01 % and 0.3 % of the whole.
        foreach ((KvType type, double limit) in ((KvType, double)[])[(KvType.F16, 0.003), (KvType.Q8_0, 0.005), (KvType.Q4_0, 0.03)])
            Assert.InRange(Measured(type) / expected, 1 - limit, 1 + limit);
        Assert.NotEqual(expected, Measured(KvType.Q4_0));

        double Measured(KvType type) => Perplexity.Measure(model, text, 256, type, _ => { }, CancellationToken.None).Value;
    }
}
