using System.Runtime.InteropServices;
using Tern.Cli.Terminal;

namespace Tern.Cli.Chat;

/// <summary>
/// A conversation at the terminal. Answers go to standard output, everything else to standard error, so that <c>tern run &gt; answers.txt</c>
/// holds the answers alone.
/// </summary>
internal sealed class InteractiveSession(Conversation conversation, Interrupt interrupt, bool showStats)
{
    private const string Help =
        "/help          these lines\n" +
        "/reset         forget the conversation\n" +
        "/system TEXT   new instructions, and a new conversation (no TEXT: none)\n" +
        "/save FILE     write the conversation (.json: as JSON)\n" +
        "/stats         speeds of the last answer\n" +
        "/exit          leave; so does Ctrl+D\n" +
        "Ctrl+C stops an answer; twice at the prompt leaves.";

    private volatile CancellationTokenSource? _answering;
    private int _interruptsAtPrompt;
    private Usage? _lastUsage;

    public async Task<int> Run()
    {
        Screen.Note(conversation.IsChat ? "/help shows the commands" : "this model has no chat template: it continues your text; /help shows the commands");
        interrupt.Handle(OnInterrupt);
        try
        {
            while (ReadLine() is { } line)
            {
                _interruptsAtPrompt = 0;
                if (line is "/exit" or "/quit")
                    break;
                if (line.StartsWith('/'))
                    Command(line);
                else if (line.Length > 0 || !conversation.IsChat)
                    await Answer(line);
            }
        }
        finally
        {
            interrupt.Handle(null);
        }

        return ExitCode.Success;
    }

    private static string? ReadLine()
    {
        if (Screen.ErrorIsRich)
            Screen.Error.Write(new Spectre.Console.Markup("[bold green]> [/]"));
        else
            Console.Error.Write("> ");

        string? line = Console.In.ReadLine();
        if (line is null)
            Console.Error.WriteLine();
        return line;
    }

    private void Command(string line)
    {
        string[] words = line.Split(' ', 2, StringSplitOptions.TrimEntries);
        string rest = words.Length > 1 ? words[1] : "";
        try
        {
            switch (words[0])
            {
                case "/help":
                    Screen.Note(Help);
                    break;
                case "/reset":
                    conversation.Reset();
                    Screen.Note("a new conversation");
                    break;
                case "/system" when conversation.IsChat:
                    conversation.Instruct(rest);
                    Screen.Note(rest.Length > 0 ? "a new conversation under these instructions" : "a new conversation without instructions");
                    break;
                case "/system":
                    Screen.Note("this model has no chat template, so there is no place for instructions");
                    break;
                case "/save" when rest.Length > 0:
                    conversation.Save(rest);
                    Screen.Note($"written to {rest}");
                    break;
                case "/save":
                    Screen.Note("/save needs the name of a file");
                    break;
                case "/stats":
                    Screen.Note(_lastUsage is null ? "no answer yet" : AnswerPrinter.Describe(_lastUsage));
                    break;
                default:
                    Screen.Note($"no command '{words[0]}'; /help shows them");
                    break;
            }
        }
        catch (TernException e)
        {
            Messages.Report(e);
        }
    }

    private async Task Answer(string input)
    {
        using var answering = new CancellationTokenSource();
        _answering = answering;
        try
        {
            Answer answer = await AnswerPrinter.Write(conversation.Ask(input, answering.Token), answering.Token);
            conversation.Accept(input, answer.Text);
            _lastUsage = answer.Usage ?? _lastUsage;
            if (showStats && answer.Usage is { } usage)
                Screen.Note(AnswerPrinter.Describe(usage));
        }
        catch (TernException e)
        {
            // A conversation that has grown too long, for example: the person can /reset and go on.
            Messages.Report(e);
        }
        finally
        {
            _answering = null;
        }
    }

    private bool OnInterrupt(PosixSignal signal)
    {
        if (signal == PosixSignal.SIGTERM)
            return false;

        if (_answering is { } answering)
        {
            try
            {
                answering.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // The answer ended by itself at the same moment.
            }

            return true;
        }

        if (Interlocked.Increment(ref _interruptsAtPrompt) > 1)
            Environment.Exit(ExitCode.Interrupted);
        Console.Error.WriteLine();
        Screen.Note("Ctrl+C again, Ctrl+D or /exit leaves");
        return true;
    }
}
