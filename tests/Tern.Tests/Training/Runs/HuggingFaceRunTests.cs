using Tern.Kernels;
using Tern.Measure;
using Tern.Models;
using Tern.Tests.Cli;

namespace Tern.Tests.Training.Runs;

/// <summary>The Hugging Face checkpoint that a run leaves is the model of its GGUF file.</summary>
public sealed class HuggingFaceRunTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Theory]
    [InlineData("--activation", "relu2")]
    [InlineData("--activation", "silu", "--sub-norms", "false")]
    [InlineData("--activation", "silu", "--sub-norms", "false", "--precision", "full")]
    public void The_folder_and_the_file_give_the_same_logits(params string[] more)
    {
        TernResult result = _run.Run("run", 3, ["--export-huggingface", "true", .. more]).AssertSucceeds();
        string file = _run.In("run", "model.gguf"), folder = _run.In("run", "huggingface");
        Assert.Contains(folder, result.Output, StringComparison.Ordinal);

        int[] prompt = [.. Enumerable.Range(0, 20).Select(i => i * 37 % 300)];
        Assert.Equal(Logits(file, prompt), Logits(folder, prompt));
        string[] Generate(string model) => ["run", model, "the cat", "-n", "4", "--temp", "0", "--no-tune"];
        TernResult fromFile = TernProcess.Run(Generate(file)).AssertSucceeds();
        Assert.Equal(fromFile.Output, TernProcess.Run(Generate(folder)).Output);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_run.In("run"), "*.tern-*"));
    }

    [Theory]
    [InlineData("'export' is 'none'", "--export", "none")]
    [InlineData("written as F16", "--precision", "full")]
    [InlineData("written as F16", "--precision", "binary", "--export", "f16")]
    public void What_would_be_another_model_is_refused(string says, params string[] more)
    {
        TernResult result = _run.Run("run", 3, ["--export-huggingface", "true", .. more]);
        Assert.Contains(says, result.Error, StringComparison.Ordinal);
        Assert.Contains("--export-huggingface", result.Error, StringComparison.Ordinal);
        Assert.Equal(1, result.ExitCode);
        Assert.Empty(TinyRun.Checkpoints(_run.In("run")));
    }

    private static int[] Logits(string path, int[] prompt)
    {
        using Model model = Model.Load(path, new ModelOptions { Threads = 1 });
        using var probe = new LogitProbe(model, 32, 0, KvType.F32);
        float[] logits = probe.Run(prompt, 1, CancellationToken.None).Logits;
        Assert.True(logits.Max() > logits.Min());
        return [.. logits.Select(BitConverter.SingleToInt32Bits)];
    }
}
