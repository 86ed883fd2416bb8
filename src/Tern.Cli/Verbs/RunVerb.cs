using System.CommandLine;
using Tern.Cli.Chat;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;

namespace Tern.Cli.Verbs;

/// <summary><c>tern run</c>: one answer, or a conversation at the terminal.</summary>
internal static class RunVerb
{
    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Argument<string?> text = ModelArgument.CreateText("PROMPT", "What to answer or continue; left out: standard input, or a conversation at a terminal.");
        Option<string?> prompt = OptionOf.Text("--prompt", "TEXT", "The prompt, as an option.", "-p");
        Option<string?> file = OptionOf.Text("--file", "FILE", "Read the prompt from a file.", "-f");
        Option<string?> system = OptionOf.Text("--system", "TEXT", "Instructions that stand above the conversation.");
        Option<bool> raw = OptionOf.Flag("--raw", "Continue the text as it is, without the model's chat template.");
        Option<bool> stats = OptionOf.Flag("--stats", "After each answer: tokens per second, and the time to the first one (on standard error).");
        Option<bool> offline = StoreInput.Offline();
        var command = new Command("run", "Answer a prompt, or have a conversation.") { model, text, prompt, file, system, raw, stats, offline };
        SamplingOptionsBinding sampling = SamplingOptionsBinding.AddTo(command);
        ModelOptionsBinding options = ModelOptionsBinding.AddTo(command);
        Option<string> kv = KvOption.Create("f16");
        command.Add(kv);
        command.SetAction(async (result, _) =>
        {
            (string path, string? positional) = await ModelArgument.ResolveOrPull(result.GetValue(model), result.GetValue(text), result.GetValue(offline), interrupt.Token);
            string? input = Prompt(positional, result.GetValue(prompt), result.GetValue(file));
            GenerationOptions generation = sampling.Options(result);

            using LanguageModel loaded = LoadedModel.Load(path, options.FrontDoor(result) with { KvCache = KvOption.Precision(result.GetValue(kv)) }, options.Options(result), interrupt.Token);
            bool isChat = !result.GetValue(raw) && loaded.HasChatTemplate;
            string? instructions = result.GetValue(system);
            if (instructions is not null && !isChat)
                throw new TernException(ErrorKind.Request, "--system needs a chat template: this model has none, or --raw leaves it out; put the instructions into the prompt");

            var conversation = new Conversation(loaded, isChat, instructions, generation);
            if (input is null)
                return await new InteractiveSession(conversation, interrupt, result.GetValue(stats)).Run();
            return await AnswerOnce(conversation, input, result.GetValue(stats), interrupt.Token);
        });
        return command;
    }

    /// <summary>The one prompt that was given, or null for a conversation.</summary>
    private static string? Prompt(string? positional, string? option, string? file)
    {
        if (new[] { positional, option, file }.Count(p => p is not null) > 1)
            throw new UsageException("more than one prompt: give PROMPT, --prompt or --file");
        if (file is not null)
            return TextInput.WithoutFinalLineBreak(TextInput.ReadFile(file));
        if ((positional ?? option) is { } given)
            return given;
        if (Screen.InputIsTerminal)
            return null;

        string piped = TextInput.WithoutFinalLineBreak(TextInput.ReadStandardInput());
        return piped.Length > 0 ? piped : throw new UsageException("no prompt: standard input is empty; give PROMPT, --prompt or --file");
    }

    private static async Task<int> AnswerOnce(Conversation conversation, string input, bool stats, CancellationToken cancellation)
    {
        Answer answer = await AnswerPrinter.Write(conversation.Ask(input, cancellation), cancellation);
        cancellation.ThrowIfCancellationRequested();
        if (stats && answer.Usage is { } usage)
            Screen.Note(AnswerPrinter.Describe(usage));
        return ExitCode.Success;
    }
}
