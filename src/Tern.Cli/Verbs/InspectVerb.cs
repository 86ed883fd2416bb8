using System.CommandLine;
using Tern.Cli.Input;
using Tern.Cli.Inspection;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Models;

namespace Tern.Cli.Verbs;

/// <summary><c>tern inspect</c>: what a model file holds, what Tern would use to run it, and why it would not run.</summary>
internal static class InspectVerb
{
    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Option<bool> json = OptionOf.Flag("--json", "Write one JSON document.");
        Option<bool> tensors = OptionOf.Flag("--tensors", "List every tensor.");
        Option<bool> validate = OptionOf.Flag("--validate", "Read every byte instead: scales, codes, floats, and known defects with the command that mends them; exit code 65 when broken.");
        var command = new Command("inspect", "Show what a model file holds and what would run it.") { model, json, tensors, validate };
        ModelOptionsBinding options = ModelOptionsBinding.AddTo(command);
        command.SetAction(result =>
        {
            string path = ModelArgument.Resolve(result.GetValue(model));
            ModelOptions modelOptions = options.Options(result) with { CancellationToken = interrupt.Token };
            using ModelSource file = Model.Open(path, modelOptions);
            if (result.GetValue(validate))
                return Validation.Run(path, file, modelOptions, result.GetValue(json), interrupt);
            FileReport report = Work.Wait($"reading {Path.GetFileName(path)}", () => FileReport.Of(file, modelOptions));
            if (result.GetValue(json))
                InspectionJson.Write(report, result.GetValue(tensors));
            else
                InspectionText.Write(report, result.GetValue(tensors));
            return ExitCode.Success;
        });
        return command;
    }
}
