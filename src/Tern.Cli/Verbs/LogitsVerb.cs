using System.CommandLine;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Measure;
using Tern.Models;

namespace Tern.Cli.Verbs;

/// <summary><c>tern logits</c>: what the model computes, number by number, for comparison with other implementations.</summary>
internal static class LogitsVerb
{
    private const int GreedyMax = 1 << 20;

    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Option<bool> json = OptionOf.Flag("--json", "The only form so far; may be left out.");
        Option<int> greedy = OptionOf.Integer("--greedy", 0, GreedyMax, 0, "Also generate N tokens, always the most likely one, end tokens included.");
        Option<int> chunk = OptionOf.Integer("--chunk", 0, SequenceRunner.ChunkMax, 0, "Tokens per forward pass; 0 is as many as memory allows. Results do not depend on it.");
        Option<string> kv = KvOption.Create("f32");
        var command = new Command("logits", "Read a JSON array of arrays of token ids, write one JSON object per prompt: logits, top five per position, log-likelihood.")
        {
            model, json, greedy, chunk, kv,
        };
        // Checking is what the verb is for: like keys and values, activations stay floats unless told otherwise.
        ModelOptionsBinding options = ModelOptionsBinding.AddTo(command, activations: "f32");
        command.SetAction(result =>
        {
            string path = ModelArgument.Resolve(result.GetValue(model));
            using JsonDocument document = JsonInput.Read();
            int[][] prompts = JsonInput.IdLists(document.RootElement);
            using Model loaded = LoadedModel.Load(path, options.Options(result), interrupt.Token);
            JsonInput.CheckIds(prompts, loaded.Spec.VocabularySize);
            int greedyCount = result.GetValue(greedy);
            int positions = Positions(prompts, greedyCount, options.Context(result));
            if (positions > loaded.Spec.ContextLength)
                Messages.Warning($"{positions} positions are more than the {loaded.Spec.ContextLength} that the model was trained for");

            using var probe = new LogitProbe(loaded, positions, result.GetValue(chunk), KvOption.Read(result.GetValue(kv)));
            using var output = new JsonOutput();
            foreach (int[] prompt in prompts)
                Write(output, probe.Run(prompt, greedyCount, interrupt.Token));
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>Positions that the longest prompt with its greedy tokens takes.</summary>
    private static int Positions(int[][] prompts, int greedy, int limit)
    {
        int positions = 1;
        for (int i = 0; i < prompts.Length; i++)
        {
            if (prompts[i].Length == 0)
                throw new TernException(ErrorKind.Request, $"standard input: item {i} is empty; a prompt has at least one token");
            int needed = checked(prompts[i].Length + greedy);
            if (limit > 0 && needed > limit)
                throw new TernException(ErrorKind.Request, $"standard input: item {i} needs {needed} positions, --context allows {limit}");
            positions = Math.Max(positions, needed);
        }

        return positions;
    }

    private static void Write(JsonOutput output, LogitReport report)
    {
        Utf8JsonWriter writer = output.Writer;
        writer.WriteStartObject();
        writer.WritePropertyName("logits");
        output.WriteNumbers(report.Logits);
        writer.WriteStartArray("top");
        foreach (TopLogits position in report.Top)
        {
            writer.WriteStartArray();
            for (int i = 0; i < position.Ids.Length; i++)
            {
                writer.WriteStartArray();
                writer.WriteNumberValue(position.Ids[i]);
                writer.WriteNumberValue(position.Logits[i]);
                writer.WriteEndArray();
            }

            writer.WriteEndArray();
        }

        writer.WriteEndArray();
        writer.WriteNumber("logLikelihood", report.LogLikelihood);
        writer.WritePropertyName("greedy");
        output.WriteNumbers(report.Greedy);
        writer.WriteEndObject();
        output.EndLine();
    }
}
