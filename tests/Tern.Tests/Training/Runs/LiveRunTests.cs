using Spectre.Console;
using Tern.Cli.Training;

namespace Tern.Tests.Training.Runs;

/// <summary>What stands at a terminal while a run goes on.</summary>
public sealed class LiveRunTests
{
    [Fact]
    public void The_last_remarks_stay_in_sight_with_how_far_the_text_is_read()
    {
        using var written = new StringWriter();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(written) });
        console.Live(new Spectre.Console.Text("")).Start(display =>
        {
            var run = new LiveRun(display);
            for (int i = 1; i <= 7; i++)
                run.Note($"remark {i}");
            run.Encoded(0.25);
        });

        string last = written.ToString();
        last = last[last.LastIndexOf("remark 3", StringComparison.Ordinal)..];
        Assert.Matches(@"^remark 3\s+remark 4\s+remark 5\s+remark 6\s+remark 7\s+reading the text: 25 %\s*$", last);
    }
}
