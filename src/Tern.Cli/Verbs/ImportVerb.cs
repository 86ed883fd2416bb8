using System.CommandLine;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Verbs;

/// <summary><c>tern import</c>: a model that is on this machine already, into the store. Standard output is the path of the model.</summary>
internal static class ImportVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var source = new Argument<string>("SOURCE") { Description = "A .gguf file, a folder with a checkpoint, or ollama:NAME[:TAG] for a model of Ollama's store." };
        Option<string?> name = OptionOf.Text("--name", "NAME", "What to call it; left out: after the file or folder.");
        Option<bool> link = OptionOf.Flag("--link", "Share the bytes with the source by a hard link where the file system can; the source must not be changed then.");
        var command = new Command("import", "Bring a model file or folder into the store.") { source, name, link };
        command.SetAction(async (result, _) =>
        {
            HubSettings settings = HubSettings.FromEnvironment();
            ModelStore store = StoreInput.Open();
            ModelName? chosen = result.GetValue(name) is { } text ? StoreName.Parse(text) : null;
            var progress = new TransferProgress();
            Manifest model = await Transfer.Show(
                progress,
                () => Task.FromResult(new Importer(settings, store, progress, StoreInput.Say).Import(result.GetValue(source)!, chosen, result.GetValue(link), interrupt.Token)));
            Screen.Note($"imported as {model.Name}");
            Console.Out.WriteLine(store.PathOf(new StoredModel(model, model.Main)));
            return ExitCode.Success;
        });
        return command;
    }
}
