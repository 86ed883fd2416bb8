using System.Text.Json;
using Tern.Conversion;
using Tern.Numerics;
using Tern.Tests.Files;

namespace Tern.Tests.Cli;

/// <summary><c>tern bench</c> with several sequences and beside another engine, and what loading remembers.</summary>
public sealed class BenchVerbTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_test_says_what_it_costs_and_what_share_that_is()
    {
        TernResult result = TernProcess.Run("bench", "-p", "8", "-n", "2", "-d", "0,16", "--parallel", "1,4", "-t", "1", "-r", "1").AssertSucceeds();
        JsonElement figures = Json(result.LastLine);
        foreach (string name in (string[])["pp8", "tg2", "tg2x4", "pp8@d16", "tg2@d16", "tg2x4@d16"])
        {
            JsonElement test = figures.GetProperty(name);
            foreach (string field in (string[])["median", "min", "max", "bytesPerToken", "shareOfBandwidth", "shareOfIntegerPeak"])
                Assert.True(test.GetProperty(field).GetDouble() > 0, $"{name} {field}");
            Assert.True(test.TryGetProperty("joulesPerToken", out _));
        }

        Assert.True(figures.GetProperty("tg2x4").GetProperty("ratioToOne").GetDouble() > 0);
        Assert.True(figures.GetProperty("tg2@d16").GetProperty("bytesPerToken").GetDouble() > figures.GetProperty("tg2").GetProperty("bytesPerToken").GetDouble());
        JsonElement ceiling = figures.GetProperty("ceiling");
        Assert.InRange(ceiling.GetProperty("readMedianBytesPerSecond").GetDouble(), 1, ceiling.GetProperty("readBytesPerSecond").GetDouble());
        Assert.NotEmpty(figures.GetProperty("kernels").EnumerateObject());
        Assert.NotEqual("", figures.GetProperty("machine").GetProperty("processor").GetString());
        Assert.Contains("kernel rows: ", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ternary", "adamw")]
    [InlineData("full", "muon")]
    public void Training_is_measured_against_the_vector_units(string precision, string optimizer)
    {
        JsonElement figures = Json(TernProcess.Run("bench", "train", "--size", "tiny", "--context", "24", "--batch", "1", "--steps", "1", "-t", "1", "--precision", precision, "--optimizer", optimizer).AssertSucceeds().LastLine);

        Assert.Equal(853_376, figures.GetProperty("parameters").GetInt64());
        Assert.Equal((precision, optimizer), (figures.GetProperty("precision").GetString(), figures.GetProperty("optimizer").GetString()));
        Assert.Equal((24, 1), (figures.GetProperty("context").GetInt32(), figures.GetProperty("batch").GetInt32()));
        Assert.True(figures.GetProperty("memoryBytes").GetInt64() > 16 * 853_376);
        foreach (string field in (string[])["tokensPerSecond", "tokensPerCpuSecond", "floatOpsPerSecond", "shareOfFloatPeak"])
            Assert.True(figures.GetProperty(field).GetDouble() > 0, field);
        Assert.NotEqual("", figures.GetProperty("machine").GetProperty("processor").GetString());
    }

    [Theory]
    [InlineData("8192", "MB of memory, and")]
    [InlineData("65536", "more memory than can be counted")]
    public void Training_that_the_memory_is_too_small_for_is_refused(string batch, string says)
    {
        TernResult result = TernProcess.Run("bench", "train", "--size", "16m", "--context", "65536", "--batch", batch, "-t", "1");
        result.AssertFails(65, "limit");
        Assert.Contains(says, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_peer_takes_turns_and_the_ratio_is_that_of_the_medians()
    {
        if (OperatingSystem.IsWindows())
            return; // the stand-in is a shell script

        // Samples of 1, 2 and 4 tok/s make 2; some programs print warnings inside of the array.
        string peer = Script($"""
            case "$*" in *--help*) echo " -d, --n-depth <n>"; exit 1 ;; esac
            echo "$*" >> {_folder.File("calls")}
            echo "loading [a line]" >&2
            echo '['
            echo 'WARNING: zero bytes'
            echo '{"{"} "build_commit": "abc123", "build_number": 7, "avg_ts": 9.5, "samples_ts": [4.0, 1.0, 2.0] {"}"} ]'
            """);
        string[] arguments = ["bench", "-p", "4", "-n", "2", "-d", "0,8", "-t", "1", "-r", "1", "--peer", peer, "--peer-model", peer, "--rounds", "2"];
        TernResult result = TernProcess.Run(arguments).AssertSucceeds();
        JsonElement figures = Json(result.LastLine);

        JsonElement test = figures.GetProperty("tg2@d8");
        Assert.Equal(2, test.GetProperty("tern").GetArrayLength());
        Assert.Equal(2, test.GetProperty("peerMedian").GetDouble());
        Assert.Equal(test.GetProperty("ternMedian").GetDouble() / 2, test.GetProperty("ratio").GetDouble(), 1e-9);
        Assert.Equal("abc123 (7)", figures.GetProperty("peerVersion").GetString());
        Assert.Contains("| tg2@d8 | 1 | median |", result.Output, StringComparison.Ordinal);
        Assert.Contains($"`tern {string.Join(' ', arguments)}`", result.Output, StringComparison.Ordinal);
        string[] calls = File.ReadAllLines(_folder.File("calls"));
        Assert.Equal(8, calls.Length);
        Assert.Equal($"-m {peer} -p 0 -n 2 -d 8 -t 1 -r 1 -o json", calls[3]);
    }

    [Fact]
    public void A_peer_without_depths_leaves_gaps()
    {
        if (OperatingSystem.IsWindows())
            return;

        string peer = Script("""
            case "$*" in *--help*) echo "  -gp <pp,tg>"; exit 0 ;; esac
            case "$*" in *"-gp 8,2"*) echo '[{"avg_ts": 5.0}]' ;; *) exit 3 ;; esac
            """);
        JsonElement figures = Json(TernProcess.Run("bench", "-p", "4", "-n", "2", "-d", "8", "-t", "1", "-r", "1", "--peer", peer, "--peer-model", peer, "--rounds", "1").AssertSucceeds().LastLine);

        Assert.Equal(5, figures.GetProperty("tg2@d8").GetProperty("peerMedian").GetDouble());
        Assert.False(figures.GetProperty("pp4@d8").TryGetProperty("ratio", out _));
    }

    [Theory]
    [InlineData("echo 'bad model' >&2; exit 3", "ended with code 3: bad model")]
    [InlineData("echo hello", "printed no result")]
    [InlineData("echo '[]'", "printed no result")]
    [InlineData("echo '[{}]'", "printed no result")]
    [InlineData("sleep 60", "did not end within 1 s")]
    public void A_peer_that_fails_is_reported(string body, string expected)
    {
        if (OperatingSystem.IsWindows())
            return;

        string peer = Script($"case \"$*\" in *--help*) exit 0 ;; esac\n{body}");
        TernResult result = TernProcess.Run("bench", "-p", "4", "-n", "0", "-t", "1", "-r", "1", "--peer", peer, "--peer-model", peer, "--rounds", "1", "--peer-timeout", "1");
        result.AssertFails(1, "request");
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_peer_needs_both_files()
    {
        TernProcess.Run("bench", "--peer", "/nowhere/llama-bench").AssertFails(64, "usage");
        TernResult missing = TernProcess.Run("bench", "--peer", "/nowhere/llama-bench", "--peer-model", "/nowhere/model");
        Assert.Contains("--peer /nowhere/llama-bench: file not found", missing.Error, StringComparison.Ordinal);
        TernResult model = TernProcess.Run("bench", "--peer", TernProcess.Storyteller, "--peer-model", "/nowhere/model");
        Assert.Contains("--peer-model /nowhere/model: file not found", model.Error, StringComparison.Ordinal);
        TernResult program = TernProcess.Run("bench", "--peer", TernProcess.Storyteller, "--peer-model", TernProcess.Storyteller);
        Assert.Contains("cannot be started", program.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_load_measures_once_and_remembers()
    {
        string model = _folder.File("model.gguf"), cache = _folder.File("cache");
        var geometry = new DummyGeometry("large", "bitnet-b1.58", 2048, 8192, 3, 16, 16, 128, 600, 128, 10_000);
        DummyModel.Write(model, new DummyOptions(geometry, TensorType.I2S, TensorType.Q8_0, 1), _ => { }, CancellationToken.None);

        Assert.Equal("the order of the table", Tuning("--no-tune"));
        Assert.False(Directory.Exists(cache));
        if (!Measured())
            return; // nothing to choose on this processor, or it is too busy to measure

        Assert.Equal("a measurement at an earlier load", Tuning());
        Assert.Equal("the order of the table", Tuning("--kernel", "scalar"));
        Assert.NotEqual("a measurement at an earlier load", Tuning("--threads", $"{Environment.ProcessorCount + 1}"));
        foreach (string file in Directory.GetFiles(cache))
            File.WriteAllText(file, "{");
        Assert.NotEqual("a measurement at an earlier load", Tuning());

        bool Measured()
        {
            // A few tries: other tests keep the processor busy.
            for (int i = 0; i < 5; i++)
                if (Tuning() == "a measurement at this load")
                    return true;
            return false;
        }

        string Tuning(params string[] arguments)
        {
            TernResult result = TernProcess.Run([], ["inspect", model, "--json", .. arguments], ("TERN_CACHE", cache));
            return Json(result.AssertSucceeds().Output).GetProperty("tuning").GetString()!;
        }
    }

    private string Script(string body)
    {
        string path = _folder.File($"peer-{Guid.NewGuid():N}");
        File.WriteAllText(path, "#!/bin/sh\n" + body + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private static JsonElement Json(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
