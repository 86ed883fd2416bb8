using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Tern.Measure;

/// <summary>
/// Runs another engine's <c>llama-bench</c> (llama.cpp, bitnet.cpp, ik_llama.cpp …) on the tests of <see cref="ModelBenchmark"/> and reads its JSON.
/// Those programs differ in one option: newer ones have a depth (-d), some have "generate behind a prompt" (-gp), old ones have neither.
/// </summary>
internal sealed class PeerBenchmark
{
    private static readonly TimeSpan s_helpLimit = TimeSpan.FromSeconds(30);

    private readonly string _program;
    private readonly string _model;
    private readonly TimeSpan _limit;
    private readonly bool _hasDepth;
    private readonly bool _hasGenerationBehindPrompt;

    private PeerBenchmark(string program, string model, TimeSpan limit, string help)
    {
        (_program, _model, _limit) = (program, model, limit);
        _hasDepth = help.Contains("--n-depth", StringComparison.Ordinal);
        _hasGenerationBehindPrompt = help.Contains("-gp <", StringComparison.Ordinal);
    }

    /// <summary>What the peer says of itself: its commit and build number; empty before the first run.</summary>
    public string Version { get; private set; } = "";

    /// <summary>Checks that both files are there and that the program answers.</summary>
    /// <param name="program">Path of a llama-bench.</param>
    /// <param name="model">A model in a form that it reads.</param>
    /// <param name="limit">How long one run may take.</param>
    /// <param name="cancellation">Ends the program.</param>
    /// <exception cref="TernException">A file is missing, or the program does not start.</exception>
    public static PeerBenchmark Open(string program, string model, TimeSpan limit, CancellationToken cancellation)
    {
        if (!File.Exists(program))
            throw new TernException(ErrorKind.File, $"--peer {program}: file not found; it takes the path of a llama-bench program");
        if (!File.Exists(model))
            throw new TernException(ErrorKind.File, $"--peer-model {model}: file not found; it takes a model file that the peer reads");

        // Some end their help with an error code; what counts is what they print.
        (_, string output, string error) = Run(program, ["--help"], s_helpLimit, cancellation);
        return new PeerBenchmark(program, model, limit, output + error);
    }

    /// <summary>The arguments for a test.</summary>
    /// <returns>Null when the peer has no such test.</returns>
    public string[]? Arguments(BenchmarkTest test, int threads, int repetitions)
    {
        if (test.Sequences > 1 || (test.Depth > 0 && !_hasDepth && (test.IsPrompt || !_hasGenerationBehindPrompt)))
            return null;

        bool behind = test.Depth > 0 && !_hasDepth;
        string count = Number(test.Count);
        return
        [
            "-m", _model,
            "-p", test.IsPrompt ? count : "0",
            "-n", test.IsPrompt || behind ? "0" : count,
            .. behind ? (string[])["-gp", $"{Number(test.Depth)},{count}"] : [],
            .. _hasDepth && test.Depth > 0 ? (string[])["-d", Number(test.Depth)] : [],
            "-t", Number(threads),
            "-r", Number(repetitions),
            "-o", "json",
        ];
    }

    /// <summary>Tokens per second: the median of the samples of one run, or the mean where the peer prints no samples.</summary>
    /// <exception cref="TernException">It failed, took too long, or printed something else than the JSON of llama-bench.</exception>
    public double Measure(string[] arguments, CancellationToken cancellation)
    {
        (int code, string output, string error) = Run(_program, arguments, _limit, cancellation);
        if (code != 0)
            throw Failure($"ended with code {code}: {LastLine(error.Length > 0 ? error : output)}");

        // Some print warnings between the lines of the array.
        IEnumerable<string> lines = output.Split('\n').Where(line => line.AsSpan().Trim() is [var first, ..] && "[]{}\"".Contains(first));
        try
        {
            using JsonDocument document = JsonDocument.Parse(string.Join('\n', lines));
            JsonElement test = document.RootElement[document.RootElement.GetArrayLength() - 1];
            if (test.TryGetProperty("build_commit", out JsonElement commit))
                Version = $"{commit.GetString()} ({(test.TryGetProperty("build_number", out JsonElement build) ? build.ToString() : "?")})";
            if (test.TryGetProperty("samples_ts", out JsonElement samples) && samples.GetArrayLength() > 0)
                return Speed.Of([.. samples.EnumerateArray().Select(s => s.GetDouble())]).Median;
            return test.GetProperty("avg_ts").GetDouble();
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or IndexOutOfRangeException or FormatException)
        {
            throw Failure($"printed no result that llama-bench would print (-o json): {LastLine(output)}");
        }
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string LastLine(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault() ?? "nothing printed";

    private TernException Failure(string what) => new(ErrorKind.Request, $"the peer {_program} with {_model} {what}");

    private static (int Code, string Output, string Error) Run(string program, string[] arguments, TimeSpan limit, CancellationToken cancellation)
    {
        using Process process = Start(program, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellation), error = process.StandardError.ReadToEndAsync(cancellation);
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        late.CancelAfter(limit);
        try
        {
            process.WaitForExitAsync(late.Token).GetAwaiter().GetResult();
            return (process.ExitCode, output.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            cancellation.ThrowIfCancellationRequested();
            throw new TernException(ErrorKind.Request, $"the peer {program} did not end within {limit.TotalSeconds:0} s and was stopped; --peer-timeout gives it more");
        }
    }

    private static Process Start(string program, string[] arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException or PlatformNotSupportedException)
        {
            throw new TernException(ErrorKind.File, $"--peer {program} cannot be started: {e.Message}", e);
        }
    }
}
