using System.CommandLine;
using System.Globalization;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Text;
using Tern.Text.Templates;
using Tern.Training.Data;
using Tern.Training.Vocabulary;

namespace Tern.Cli.Verbs;

/// <summary><c>tern train-tokenizer</c>: learns a byte-level byte-pair tokenizer from text.</summary>
internal static class TrainTokenizerVerb
{
    private const string ChatMl =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    private static readonly string[] s_chatMlTokens = ["<|im_start|>", "<|im_end|>"];

    public static Command Create(Interrupt interrupt)
    {
        var files = new Argument<string[]>("FILES") { Arity = ArgumentArity.OneOrMore, Description = "Text or JSONL files, or folders of them." };
        Option<int> tokens = OptionOf.Integer("--vocabulary", TokenizerTrainingOptions.TokensMin, TokenizerTrainingOptions.TokensMax, 4096, "Tokens altogether: 256 bytes, merges, special tokens; padded to a multiple of 64.");
        Option<string[]> output = OptionOf.Texts("--output", "FILE", "Where to: a name that ends in .gguf for a model file without tensors, which 'tern train' takes; any other for Hugging Face's tokenizer.json.", "-o");
        Option<string[]> special = OptionOf.Texts("--special", "TEXT", "A further special token, besides <|begin|> and <|end|>.");
        Option<string> pre = OptionOf.Choice("--pre", [.. PreTokenizers.All.Select(p => p.Name)], "gpt-2", "How text is cut into words.");
        Option<string?> chat = OptionOf.Text("--chat-template", "FILE", "A chat template to store with the tokenizer in a .gguf file, or 'chatml' for the usual one with its tokens.");
        var command = new Command("train-tokenizer", "Learn a byte-pair tokenizer from text.") { files, tokens, output, special, pre, chat };
        command.SetAction(result =>
        {
            string[] outputs = result.GetValue(output) is { Length: > 0 } given ? given : throw new UsageException("--output FILE is needed: the tokenizer to write");
            if (result.GetValue(chat) is not null && outputs.FirstOrDefault(path => !IsGguf(path)) is { } json)
                throw new UsageException($"--chat-template has no place in a tokenizer.json such as {json}; write it into a file that ends in .gguf, or leave it out");
            string? template = Template(result.GetValue(chat), out IEnumerable<string> templateTokens);
            PreTokenizer preTokenizer = PreTokenizers.Find(result.GetValue(pre)!)!;
            var options = new TokenizerTrainingOptions
            {
                Corpus = new CorpusOptions(result.GetValue(files)!, DocumentSeparator.WholeFile),
                Tokens = result.GetValue(tokens),
                Special = [.. templateTokens.Union(result.GetValue(special) ?? [])],
                PreTokenizer = preTokenizer,
            };

            TrainedVocabulary vocabulary = Work.Measure("learning", progress => TokenizerTraining.Run(options, progress, interrupt.Token));
            foreach (string path in outputs)
            {
                if (IsGguf(path))
                    TokenizerTraining.WriteGguf(path, vocabulary, template);
                else
                    TokenizerTraining.WriteJson(path, vocabulary);
                Console.Out.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{path}: {vocabulary.Count} tokens, {vocabulary.Merges.Count} merges, {vocabulary.Special.Count} special, {vocabulary.Unused} unused"));
            }

            if (vocabulary.Count < options.Tokens)
                Messages.Warning($"the text gives only {vocabulary.Merges.Count} merges that occur twice, so the vocabulary has {vocabulary.Count} tokens instead of {options.Tokens}");
            return ExitCode.Success;
        });
        return command;
    }

    private static bool IsGguf(string path) => path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);

    /// <summary>The template that --chat-template means, checked, and the special tokens it needs.</summary>
    private static string? Template(string? given, out IEnumerable<string> tokens)
    {
        tokens = given == "chatml" ? s_chatMlTokens : [];
        string? source = given switch
        {
            null => null,
            "chatml" => ChatMl,
            _ => TextInput.ReadFile(given),
        };
        if (source is not null)
            ChatTemplate.Parse(source);
        return source;
    }
}
