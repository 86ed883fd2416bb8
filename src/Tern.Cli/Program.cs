using System.CommandLine;
using System.CommandLine.Help;
using System.Text;
using Tern.Cli.Terminal;
using Tern.Cli.Verbs;

namespace Tern.Cli;

/// <summary>The program <c>tern</c>: finds the verb, runs it, and turns whatever goes wrong into one line and an exit code.</summary>
internal static class Program
{
    /// <summary>Every verb, in the order of the help text.</summary>
    private static readonly Func<Interrupt, Command>[] s_verbs =
    [
        RunVerb.Create,
        InspectVerb.Create,
        PullVerb.Create,
        ListVerb.Create,
        ShowVerb.Create,
        RmVerb.Create,
        CpVerb.Create,
        ImportVerb.Create,
        ConvertVerb.Create,
        QuantizeVerb.Create,
        FixVerb.Create,
        TrainVerb.Create,
        TrainTokenizerVerb.Create,
        TokenizeVerb.Create,
        DetokenizeVerb.Create,
        LogitsVerb.Create,
        EmbedVerb.Create,
        TemplateVerb.Create,
        BenchVerb.Create,
        PerplexityVerb.Create,
        DummyVerb.Create,
    ];

    private static int Main(string[] arguments)
    {
        if (OperatingSystem.IsWindows())
            Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

        using var interrupt = new Interrupt();
        try
        {
            return Run(arguments, interrupt);
        }
#pragma warning disable CA1031 // the last resort: no user ever sees a stack trace unless asked for
        catch (Exception e)
#pragma warning restore CA1031
        {
            // Work that a signal ended may find its unfinished files gone before the program ends: that is no fault to report.
            return interrupt.Token.IsCancellationRequested || e is OperationCanceledException ? interrupt.Code : Messages.Report(e);
        }
    }

    private static int Run(string[] arguments, Interrupt interrupt)
    {
        var root = new RootCommand("Run, pull, convert, train and measure 1-bit language models on the CPU.");
        foreach (Func<Interrupt, Command> create in s_verbs)
            root.Add(create(interrupt));

        // No response files: a prompt may begin with '@'. No bundling: -np is a mistake, not -n -p.
        ParseResult result = root.Parse(
            arguments.Length > 0 ? arguments : ["--help"],
            new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });

        if (result.Action is not HelpAction && CommandLineErrors.Find(result, arguments) is { } error)
            throw new UsageException(error);
        return result.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }
}
