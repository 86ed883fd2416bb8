using System.CommandLine;
using System.Globalization;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Verbs;

/// <summary><c>tern show</c>: what the store knows about a model, its path for scripts, and whether its bytes are still the right ones.</summary>
internal static class ShowVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var name = new Argument<string>("NAME") { Description = "A model of 'tern list'." };
        Option<bool> path = OptionOf.Flag("--path", "Write the path of the model and nothing else.");
        Option<bool> verify = OptionOf.Flag("--verify", "Compute the hash of every file again.");
        Option<bool> json = OptionOf.Flag("--json", "Write one JSON document: the manifest.");
        var command = new Command("show", "Show a model of the store: files, hashes, licence, path.") { name, path, verify, json };
        command.SetAction(async (result, _) =>
        {
            ModelStore store = StoreInput.Open();
            StoredModel model = StoreInput.Find(store, result.GetValue(name)!);
            string opened = store.PathOf(model);
            if (result.GetValue(verify))
                await Verify(store, model.Manifest, interrupt.Token);
            if (result.GetValue(path))
                Console.Out.WriteLine(opened);
            else if (result.GetValue(json))
                WriteJson(model.Manifest);
            else
                Write(model.Manifest, opened);
            return ExitCode.Success;
        });
        return command;
    }

    private static void Write(Manifest model, string path)
    {
        var facts = new Grid("", "") { ShowHeader = false };
        facts.Add("name", model.Name.ToString());
        if (StoreInput.ShortName(model) is var shortName && shortName != model.Name.ToString())
            facts.Add("short name", shortName);
        facts.Add("type", model.Type);
        facts.Add("size", string.Create(CultureInfo.InvariantCulture, $"{Sizes.Text(model.Bytes)} ({model.Bytes} bytes)"));
        facts.Add("source", model.Source);
        facts.Add("commit", model.Commit ?? "none");
        facts.Add("licence", model.Licence ?? "not stated");
        facts.Add("created", model.Created.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        facts.Add("path", path);
        facts.Write();
        var files = new Grid("FILE", "SHA-256", "BYTES") { NumbersFrom = 2 };
        foreach (ManifestFile file in model.Files)
            files.Add(file.Path, file.Sha256, file.Bytes.ToString(CultureInfo.InvariantCulture));
        files.Write();
    }

    private static void WriteJson(Manifest model)
    {
        using Stream output = Console.OpenStandardOutput();
        output.Write(model.ToJson());
        output.Write("\n"u8);
    }

    private static Task<bool> Verify(ModelStore store, Manifest model, CancellationToken cancellation)
    {
        var progress = new TransferProgress { Total = model.Bytes, Doing = "checking" };
        return Transfer.Show(progress, () =>
        {
            foreach (ManifestFile file in model.Files)
            {
                string blob = store.Layout.Blob(file.Sha256);
                if (!File.Exists(blob))
                    throw new TernException(ErrorKind.File, $"{model.Name}: '{file.Path}' is not in the store any more ({blob}); pull or import the model again");
                using var stream = new FileStream(blob, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
                (string sha256, _) = StoreFiles.Hash(stream.SafeFileHandle, withGit: false, progress.Add, cancellation);
                if (sha256 != file.Sha256)
                    throw new TernException(ErrorKind.Format, $"{model.Name}: '{file.Path}' is damaged: its SHA-256 is {sha256}, must be {file.Sha256} ({blob}); 'tern rm {model.Name}' and pull or import it again");
            }

            Screen.Note(string.Create(CultureInfo.InvariantCulture, $"{model.Name}: {model.Files.Count} of {model.Files.Count} files have the right hash"));
            return Task.FromResult(true);
        });
    }
}
