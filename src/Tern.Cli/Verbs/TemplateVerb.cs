using System.CommandLine;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Models;
using Tern.Text;
using Tern.Text.Templates;

namespace Tern.Cli.Verbs;

/// <summary><c>tern template</c>: the text that a model sees of a conversation.</summary>
internal static class TemplateVerb
{
    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Option<string?> file = OptionOf.Text("--template", "FILE", "Render this Jinja template instead of the model's own.");
        Option<bool> json = OptionOf.Flag("--json", "Write {\"text\": \"…\"} instead of the text itself.");
        Option<string?> pre = OptionOf.Text("--pre", "NAME", "Pre-tokenizer to use instead of the one that the file names.");
        var command = new Command(
            "template",
            "Render a chat template: standard input is {\"messages\": […], \"add_generation_prompt\": true, \"tools\": […], …}; other members are variables of the template.")
        {
            model, file, json, pre,
        };
        command.SetAction(result =>
        {
            using JsonDocument document = JsonInput.Read();
            string text = result.GetValue(file) is { } path
                ? ChatTemplate.Parse(TextInput.ReadFile(path)).RenderJson(document.RootElement)
                : RenderOfModel(ModelArgument.Resolve(result.GetValue(model)), document.RootElement, result.GetValue(pre));
            if (result.GetValue(json))
                WriteJson(text);
            else
                Console.Out.Write(text);
            return ExitCode.Success;
        });
        return command;
    }

    private static string RenderOfModel(string path, JsonElement input, string? preTokenizer)
    {
        using ModelSource file = Model.Open(path, new ModelOptions { PreTokenizer = preTokenizer });
        Tokenizer tokenizer = VocabularyFile.Read(file, preTokenizer);
        ChatTemplate template = ChatTemplate.From(file.Metadata, tokenizer, Messages.Warning)
            ?? throw new TernException(ErrorKind.Template, $"{path}: the model has no chat template (key 'tokenizer.chat_template'); name one with --template FILE");
        return template.RenderJson(input);
    }

    private static void WriteJson(string text)
    {
        using var output = new JsonOutput();
        output.Writer.WriteStartObject();
        output.Writer.WriteString("text", text);
        output.Writer.WriteEndObject();
        output.EndLine();
    }
}
